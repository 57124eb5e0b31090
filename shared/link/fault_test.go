package link_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/notify"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// theatre plays one random schedule: things happen to a link, the timer fires, processes die at
// any call to the table and around every send, runs overlap, and the receiver drops, delays and
// repeats what it is sent.
type theatre struct {
	*world
	report verification.Report

	mu      sync.Mutex // deliveries run at the same time
	rng     *rand.Rand
	clock   time.Time
	crash   float64 // how likely a process dies at a call
	dying   bool    // a process died while sending: it makes no further call
	nested  int
	sent    map[string]bool
	held    map[string]notify.Event // what the receiver holds, who remembers IDs
	delayed []notify.Event
	arrived int

	seen  map[string]telling.Notice
	order []string // of seen
}

func newTheatre(seed uint64) *theatre {
	w := newWorld()
	return &theatre{
		world: w, rng: rand.New(rand.NewPCG(seed, 1)), report: healthy, crash: 0.08, clock: w.now,
		seen: map[string]telling.Notice{}, sent: map[string]bool{}, held: map[string]notify.Event{},
	}
}

func (th *theatre) chance(p float64) bool {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.rng.Float64() < p
}

func (th *theatre) pass(d time.Duration) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.clock = th.clock.Add(d)
}

func (th *theatre) time() time.Time {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.clock
}

// fault is a call to the table, at which the process may die or go unanswered.
func (th *theatre) fault(string, link.Slug, bool) error {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.dying || th.rng.Float64() < th.crash {
		th.dying = false
		panic(errInjected)
	}
	if th.rng.Float64() < th.crash/2 {
		return fmt.Errorf("%w: %w", errInjected, store.ErrUnavailable)
	}
	return nil
}

// instance is a new process.
func (th *theatre) instance() *link.Service {
	return link.New(link.Deps{
		Stores: th.links, Secrets: th.vault, Authority: testAuthority, Log: quiet, Channel: th, Now: th.time,
		Verifier: fakeVerifier(func() verification.Report { return th.report }),
		Tokens:   tokenFunc(func(entra.Credentials) error { return nil }),
	})
}

func (th *theatre) Name() string { return "webhook" }

func (th *theatre) Targets(context.Context, string) ([]notify.Target, error) {
	if th.chance(th.crash) {
		return nil, errInjected
	}
	return []notify.Target{sinkTarget}, nil
}

// Deliver is the receiver: half of the time it is not well.
func (th *theatre) Deliver(ctx context.Context, _ string, _ notify.Target, e notify.Event) notify.Result {
	if th.chance(0.2) { // this sender is slow: its claim may lapse
		th.pass(time.Duration(th.pick(5)) * time.Minute)
	}
	if th.overlaps() { // and another run comes in between
		_ = th.fire()
		th.mu.Lock()
		th.nested--
		th.mu.Unlock()
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	th.sent[e.ID] = true
	if th.rng.Float64() < th.crash {
		th.dying = true
	}
	failed := notify.Result{Outcome: notify.Retry, Reason: "injected"}
	switch th.rng.IntN(6) {
	case 0: // dropped
		return failed
	case 1: // kept, and the answer lost
		th.receive(e)
		return failed
	case 2: // on its way for a while
		th.delayed = append(th.delayed, e)
		return failed
	case 3: // repeated by something in between
		th.receive(e)
	}
	th.receive(e)
	return notify.Result{Outcome: notify.Delivered}
}

func (th *theatre) pick(n int) int {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.rng.IntN(n)
}

func (th *theatre) overlaps() bool {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.nested > 0 || th.rng.Float64() > 0.2 {
		return false
	}
	th.nested++
	return true
}

func (th *theatre) receive(e notify.Event) {
	th.arrived++
	th.held[e.ID] = e
}

// fire is one run of the timer in a new process. It reports whether the process lived.
func (th *theatre) fire() (alive bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != errInjected { // the very value that was thrown
				panic(p)
			}
			alive = false
		}
	}()
	s := th.instance()
	var due []link.Slug
	_ = s.Due(context.Background(), th.time(), func(slug link.Slug) bool { due = append(due, slug); return true }) // the next run looks again
	for _, slug := range due {
		_, _ = s.Tend(context.Background(), slug) // so it does
	}
	return true
}

// look writes down every notice that the row has ever had.
func (th *theatre) look() {
	th.calmly(func() {
		row, err := th.links.Get(context.Background(), slug)
		if err != nil {
			panic(err)
		}
		for _, n := range row.Notices {
			if _, known := th.seen[n.ID]; !known {
				th.order = append(th.order, n.ID)
			}
			th.seen[n.ID] = n
		}
	})
}

// calmly does something while nothing goes wrong; no run is under way then.
func (th *theatre) calmly(do func()) {
	crash := th.crash
	th.crash, th.dying = 0, false
	do()
	th.crash = crash
}

func (th *theatre) do(t *testing.T, what func(*link.Service) error) {
	t.Helper()
	th.calmly(func() {
		if err := what(th.instance()); err != nil {
			t.Fatal(err)
		}
	})
	th.look()
}

// play lets things happen, and the timer fire some times after each.
func (th *theatre) play(t *testing.T) (rotations, breaks int) {
	t.Helper()
	verify := func(r verification.Report) {
		th.report = r
		th.pass(time.Second)
		th.do(t, func(s *link.Service) error { _, err := s.Verify(t.Context(), orgA, slug); return err })
	}
	for range 6 {
		switch th.pick(4) {
		case 0:
			rotations++
			th.report = healthy
			th.do(t, func(s *link.Service) error {
				_, err := s.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{
					ClientSecret: secret.New(fmt.Sprint("secret-", rotations)), SecretExpiresOn: date.Of(th.time()).AddDays(62).String(),
				})
				return err
			})
		case 1:
			verify(healthy)
			verify(wrong)
			breaks++
			verify(healthy)
		default: // days pass
			th.pass(time.Duration(th.pick(30)) * 24 * time.Hour)
		}
		for range th.pick(6) {
			th.pass(time.Duration(th.pick(20)) * time.Minute)
			th.fire()
			th.look()
			if len(th.delayed) > 0 && th.chance(0.5) {
				th.receive(th.delayed[0])
				th.delayed = th.delayed[1:]
			}
		}
	}
	return rotations, breaks
}

// calm lets the timer fire, without crashes, until everybody has been told.
func (th *theatre) calm(t *testing.T) {
	t.Helper()
	th.crash, th.dying = 0, false
	for range 1000 {
		th.pass(time.Hour)
		if !th.fire() {
			t.Fatal("a process died without a crash")
		}
		th.look()
		if row, _ := th.row(t); len(row.Notices) == 0 {
			break
		}
	}
	for _, e := range th.delayed {
		th.receive(e)
	}
}

// TestNotificationFaults: after 1,000 random schedules every notice has arrived, and under one
// ID each.
func TestNotificationFaults(t *testing.T) {
	told, arrived := 0, 0
	for seed := range uint64(1000) {
		th := newTheatre(seed)
		registered(t, th.world)
		th.links.Fault = th.fault
		rotations, breaks := th.play(t)
		th.calm(t)
		th.judge(t, fmt.Sprintf("schedule %d", seed), rotations, breaks)
		told += len(th.held)
		arrived += th.arrived
		if t.Failed() {
			break
		}
	}
	t.Logf("%d notices arrived %d times", told, arrived)
	if arrived < told*5/4 {
		t.Errorf("only %d arrivals of %d notices: the receiver was too well", arrived, told)
	}
}

// judge: everything that was recorded has arrived, except what gave way to something nearer
// before anybody was sent it; and nothing has two IDs.
func (th *theatre) judge(t *testing.T, name string, rotations, breaks int) {
	t.Helper()
	row, _ := th.row(t)
	if len(row.Notices) > 0 {
		t.Errorf("%s: left over: %+v", name, row.Notices)
	}
	types, facts := map[notify.Type]int{}, map[string]string{}
	for i, id := range th.order {
		n := th.seen[id]
		if _, holds := th.held[id]; !holds && (th.sent[id] || !th.gaveWay(i)) {
			t.Errorf("%s: %s (threshold %d, sent %v) never arrived", name, n.Type, n.Threshold, th.sent[id])
		}
	}
	for id, e := range th.held {
		types[e.Type]++
		fact := fmt.Sprint(e.Type, e.ExpiresOn, *cmpOr(e.Threshold), th.seen[id].Version)
		if e.Type == notify.LinkBroken || e.Type == notify.LinkRecovered {
			fact += e.Time.String()
		}
		if other, double := facts[fact]; double {
			t.Errorf("%s: %s has the IDs %s and %s", name, fact, id, other)
		}
		facts[fact] = id
	}
	if types[notify.SecretRotated] != rotations || types[notify.LinkBroken] != breaks || types[notify.LinkRecovered] != breaks {
		t.Errorf("%s: the receiver holds %v after %d rotations and %d breaks", name, types, rotations, breaks)
	}
}

// gaveWay reports whether the i-th notice was about the secret's end and a later one took its place.
func (th *theatre) gaveWay(i int) bool {
	end := func(n telling.Notice) bool {
		return n.Type == notify.SecretExpiring || n.Type == notify.SecretExpired || n.Type == notify.SecretDateMissing
	}
	if !end(th.seen[th.order[i]]) {
		return false
	}
	for _, later := range th.order[i+1:] {
		if n := th.seen[later]; end(n) || n.Type == notify.SecretRotated {
			return true
		}
	}
	for _, e := range th.held { // one that came and went within a run
		if n := (telling.Notice{Type: e.Type}); e.Time.After(th.seen[th.order[i]].At) && (end(n) || n.Type == notify.SecretRotated) {
			return true
		}
	}
	return false
}

func cmpOr(p *int) *int {
	if p == nil {
		return new(int)
	}
	return p
}
