package link_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// Every operation below is stopped before and after every single call that it makes to the
// store of links, to the store of secrets and to the network, in each of these ways.
const (
	failing = "error" // this one call fails; after its effect, that is a lost response
	down    = "down"  // this call and all later ones fail
	killed  = "panic" // the process ends here
)

// crashPoint counts the calls of one process and stops it at one of them.
type crashPoint struct {
	at   int // the point to stop at; points are numbered from 0
	mode string
	seen int // points passed
	dead bool
}

var errInjected = errors.New("injected")

func (c *crashPoint) pass(unavailable error) error {
	here := c.seen
	c.seen++
	if c.dead || here == c.at {
		c.dead = c.dead || c.mode != failing
		if c.mode == killed {
			panic(errInjected)
		}
		return fmt.Errorf("%w: %w", errInjected, unavailable)
	}
	return nil
}

// world is what outlives a process.
type world struct {
	links *linktest.Stores
	vault *secrettest.Store
	now   time.Time
	lost  string // name of a secret that was deleted in the vault by hand
	sink  *sink

	before int // events of the operation's kind in the trail before it
}

func newWorld() *world {
	return &world{links: linktest.New(), vault: secrettest.New(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), sink: &sink{}}
}

// process is one life of the program.
type process struct {
	*link.Service
	tokens *tokens.Service
}

// process is a fresh instance over the world, which passes the crash point c at every call.
func (w *world) process(c *crashPoint) *process {
	w.links.Fault, w.vault.Fault = nil, nil
	verifier := fakeVerifier(func() verification.Report { return healthy })
	if c != nil {
		w.links.Fault = func(string, link.Slug, bool) error { return c.pass(store.ErrUnavailable) }
		w.vault.Fault = func(string, string, bool) error { return c.pass(secret.ErrUnavailable) }
		verifier = func() verification.Report {
			for range 2 { // before and after the network call
				if c.pass(errInjected) != nil {
					return unreachable
				}
			}
			return healthy
		}
	}
	now := func() time.Time { return w.now }
	links := link.New(link.Deps{
		Stores: w.links, Secrets: w.vault, Verifier: verifier, Authority: testAuthority, Tokens: w.authority(c),
		Channel: w.sink, Now: now, Log: quiet,
	})
	return &process{links, tokens.New(tokens.Deps{
		Links: links, Rows: w.links, Secrets: w.vault, Source: w.authority(c), Authority: testAuthority, Now: now, Log: quiet,
	})}
}

// authority knows the first secret only, so that a new one is refused where it is asked.
func (w *world) authority(c *crashPoint) entra.TokenSource {
	return tokenFunc(func(credentials entra.Credentials) error {
		for range 2 { // before and after the network call
			if c != nil {
				if err := c.pass(errInjected); err != nil {
					return &entra.Unreachable{Reason: "injected", Cause: err}
				}
			}
		}
		if credentials.Credential.Text().Reveal() != "first-secret" {
			return refuse(7000222)(credentials)
		}
		return nil
	})
}

// run does the operation in a process that may be killed.
func run(op func(*process) error, s *process) (err error, died bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != errInjected { // the very value that was thrown
				panic(p)
			}
			err, died = errInjected, true
		}
	}()
	return op(s), false
}

type operation struct {
	name    string
	prepare func(t *testing.T, w *world)
	do      func(*process) error
	done    func(row link.Link, exists bool, value string) bool // the effect of success
	leaves  trail.Action                                        // in the trail, "" when nothing
}

func registered(t *testing.T, w *world) {
	t.Helper()
	if _, err := w.process(nil).Register(t.Context(), orgA, registration("first-secret")); err != nil {
		t.Fatal(err)
	}
}

func prepared(t *testing.T, w *world, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
}

var operations = []operation{
	{
		name: "register", leaves: trail.Registered,
		do:   func(s *process) error { return register(s.Service, "first-secret") },
		done: func(l link.Link, _ bool, v string) bool { return l.Phase == link.Live && v == "first-secret" },
	},
	{
		name: "register again over a tombstone", leaves: trail.Registered,
		prepare: func(t *testing.T, w *world) {
			registered(t, w)
			prepared(t, w, w.process(nil).Delete(t.Context(), orgA, slug, "*"))
		},
		do:   func(s *process) error { return register(s.Service, "second-secret") },
		done: func(l link.Link, _ bool, v string) bool { return l.Phase == link.Live && v == "second-secret" },
	},
	{
		name: "register over what a crash left", leaves: trail.Registered,
		prepare: func(t *testing.T, w *world) {
			c := &crashPoint{at: -1, mode: killed}
			s := w.process(c)
			w.vault.Fault = func(op, _ string, before bool) error {
				if op == "Put" && !before {
					panic(errInjected)
				}
				return nil
			}
			if _, died := run(func(s *process) error { return register(s.Service, "lost-secret") }, s); !died {
				t.Fatal("the first registration was not stopped")
			}
			w.now = w.now.Add(2 * time.Minute)
		},
		do:   func(s *process) error { return register(s.Service, "second-secret") },
		done: func(l link.Link, _ bool, v string) bool { return l.Phase == link.Live && v == "second-secret" },
	},
	{
		name: "change the description", leaves: trail.Changed,
		prepare: func(t *testing.T, w *world) { registered(t, w) },
		do:      func(s *process) error { return patch(s.Service, intake.Patch{Description: ptr("New")}) },
		done:    func(l link.Link, _ bool, _ string) bool { return l.Description == "New" },
	},
	{
		name: "change the date", leaves: trail.Changed,
		prepare: func(t *testing.T, w *world) { registered(t, w) },
		do: func(s *process) error {
			return patch(s.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-02-03")}})
		},
		done: func(l link.Link, _ bool, _ string) bool { return l.Secret.ExpiresOn.String() == "2027-02-03" },
	},
	{
		name: "new secret", leaves: trail.SecretChanged,
		prepare: func(t *testing.T, w *world) { registered(t, w) },
		do:      func(s *process) error { return setSecret(s.Service, "second-secret") },
		done:    func(_ link.Link, _ bool, v string) bool { return v == "second-secret" },
	},
	{
		name: "third secret", leaves: trail.SecretChanged,
		prepare: func(t *testing.T, w *world) {
			registered(t, w)
			prepared(t, w, setSecret(w.process(nil).Service, "second-secret"))
		},
		do:   func(s *process) error { return setSecret(s.Service, "third-secret") },
		done: func(_ link.Link, _ bool, v string) bool { return v == "third-secret" },
	},
	{
		name: "new secret after the vault lost the old one", leaves: trail.SecretChanged,
		prepare: func(t *testing.T, w *world) {
			registered(t, w)
			row, err := w.links.Get(t.Context(), slug)
			if err != nil {
				t.Fatal(err)
			}
			w.lost = row.Secret.Name
			prepared(t, w, w.vault.Delete(t.Context(), w.lost))
		},
		do:   func(s *process) error { return setSecret(s.Service, "second-secret") },
		done: func(_ link.Link, _ bool, v string) bool { return v == "second-secret" },
	},
	{
		name: "another application", leaves: trail.SecretChanged,
		prepare: func(t *testing.T, w *world) { registered(t, w) },
		do: func(s *process) error {
			return patch(s.Service, intake.Patch{ClientID: ptr(otherClient), ClientSecret: secret.New("second-secret")})
		},
		done: func(l link.Link, _ bool, v string) bool { return l.ClientID == otherClient && v == "second-secret" },
	},
	{
		name: "delete", leaves: trail.Deleted,
		prepare: func(t *testing.T, w *world) {
			registered(t, w)
			prepared(t, w, setSecret(w.process(nil).Service, "second-secret"))
		},
		do:   func(s *process) error { return s.Delete(context.Background(), orgA, slug, "*") },
		done: func(l link.Link, exists bool, _ string) bool { return !exists || l.Phase != link.Live },
	},
	{
		name: "fall back to the previous secret", leaves: trail.FellBack,
		prepare: func(t *testing.T, w *world) {
			registered(t, w)
			prepared(t, w, setSecret(w.process(nil).Service, "second-secret"))
		},
		do: func(s *process) error {
			_, err := s.tokens.Token(context.Background(), orgA, false, slug)
			return err
		},
		done: func(l link.Link, _ bool, _ string) bool { return !l.Secret.FellBackAt.IsZero() },
	},
	{
		name: "retire the previous secret", leaves: trail.Retired,
		prepare: func(t *testing.T, w *world) {
			registered(t, w)
			prepared(t, w, setSecret(w.process(nil).Service, "second-secret"))
			if err := w.reconcile(w.process(nil)); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(link.KeepPrevious)
		},
		do: func(s *process) error {
			_, err := s.Tend(context.Background(), slug)
			return err
		},
		done: func(l link.Link, _ bool, v string) bool {
			return l.Secret.Previous == "" && l.Secret.PreviousKind == "" && v == "second-secret"
		},
	},
}

// TestCrash stops every operation at every point in every way, reconciles, and looks at what
// is left.
func TestCrash(t *testing.T) {
	cases := 0
	for _, op := range operations {
		points := op.points(t)
		for _, mode := range []string{failing, down, killed} {
			for at := range points {
				cases++
				op.crash(t, &crashPoint{at: at, mode: mode}, nil)
			}
		}
	}
	t.Logf("%d cases: %d operations, each stopped before and after every call in 3 ways", cases, len(operations))
}

// TestCrashWhileReconciling kills the operation at every point, then the reconciliation at
// every point of its own, and reconciles again.
func TestCrashWhileReconciling(t *testing.T) {
	cases := 0
	for _, op := range operations {
		for at := range op.points(t) {
			for again := 0; ; again++ {
				c := &crashPoint{at: again, mode: killed}
				op.crash(t, &crashPoint{at: at, mode: killed}, c)
				if c.seen <= again {
					break
				}
				cases++
			}
		}
	}
	t.Logf("%d cases: killed once in the operation and once in the reconciliation", cases)
}

// points counts the places at which the operation can be stopped.
func (op operation) points(t *testing.T) int {
	t.Helper()
	w := newWorld()
	if op.prepare != nil {
		op.prepare(t, w)
	}
	c := &crashPoint{at: -1, mode: failing}
	if err := op.do(w.process(c)); err != nil {
		t.Fatalf("%s without a crash: %v", op.name, err)
	}
	if c.seen < 4 {
		t.Fatalf("%s passes %d points only", op.name, c.seen)
	}
	return c.seen
}

func (op operation) crash(t *testing.T, c, reconciling *crashPoint) {
	t.Helper()
	name := fmt.Sprintf("%s, %s at %d", op.name, c.mode, c.at)
	w := newWorld()
	if op.prepare != nil {
		op.prepare(t, w)
	}
	w.before = w.trailed(t, op.leaves)
	err, died := run(op.do, w.process(c))
	w.now = w.now.Add(link.Grace + time.Minute)
	if reconciling != nil {
		name += fmt.Sprintf(", and killed at %d while reconciling", reconciling.at)
		_, _ = run(func(s *process) error { return w.reconcile(s) }, w.process(reconciling))
		w.now = w.now.Add(link.Grace + time.Minute)
	}
	if err := w.reconcile(w.process(nil)); err != nil {
		t.Errorf("%s: reconcile: %v", name, err)
	}
	before := w.snapshot(t)
	w.check(t, name)
	if err := w.reconcile(w.process(nil)); err != nil {
		t.Errorf("%s: second reconcile: %v", name, err)
	}
	if after := w.snapshot(t); after != before {
		t.Errorf("%s: the second reconcile changed\n%s\ninto\n%s", name, before, after)
	}
	op.checkEffect(t, w, name, err, died)
}

// reconcile is a sweep over what is due.
func (w *world) reconcile(s *process) error {
	var due []link.Slug
	err := s.Due(context.Background(), w.now, func(slug link.Slug) bool { due = append(due, slug); return true })
	for _, slug := range due {
		_, terr := s.Tend(context.Background(), slug)
		err = errors.Join(err, terr)
	}
	return err
}

func (w *world) row(t *testing.T) (row link.Link, exists bool) {
	t.Helper()
	row, err := w.links.Get(t.Context(), slug)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return row, err == nil
}

// check asserts what must hold after any crash and one reconciliation.
func (w *world) check(t *testing.T, name string) {
	t.Helper()
	w.process(nil)
	row, exists := w.row(t)
	live := exists && row.Phase == link.Live
	if exists && row.Organization != orgA {
		t.Errorf("%s: the slug is neither free nor its owner's: %+v", name, row)
	}
	if exists && !live && row.Phase != link.Tombstone {
		t.Errorf("%s: the row is still %s", name, row.Phase)
	}
	if row.Change != nil || len(row.Discard) > 0 || len(row.PendingEvents) > 0 || len(row.Notices) > 0 {
		t.Errorf("%s: left over: change %v, discard %v, untold %v, notices %v", name, row.Change, row.Discard, row.PendingEvents, row.Notices)
	}
	if live && row.Secret.Name != w.lost {
		if _, err := w.vault.Get(t.Context(), row.Secret.Name, row.Secret.Version); err != nil {
			t.Errorf("%s: a live link without a readable secret: %v", name, err)
		}
	}
	for _, secretName := range w.vault.Names() {
		for _, version := range w.vault.Enabled(secretName) {
			if !live || secretName != row.Secret.Name || version != row.Secret.Version && version != row.Secret.Previous {
				t.Errorf("%s: an enabled secret version that no row names: %s/%s", name, secretName, version)
			}
		}
	}
	listed, _, err := w.process(nil).List(t.Context(), orgA, link.Filter{}, 10, "")
	if err != nil || (len(listed) == 1) != live {
		t.Errorf("%s: the organization's list has %d links, live is %v, error %v", name, len(listed), live, err)
	}
	if r, err := w.links.LastReport(t.Context(), slug); live && err == nil && r.LinkID != row.ID || !live && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: the report is of %s, live is %v, error %v", name, r.LinkID, live, err)
	}
	entries, err := w.links.Slugs(t.Context(), orgA, "", 10)
	if err != nil || slices.Contains(entries, slug) != live {
		t.Errorf("%s: roster %v, live is %v, error %v", name, entries, live, err)
	}
}

// trailed counts the events of an action that succeeded.
func (w *world) trailed(t *testing.T, action trail.Action) (n int) {
	t.Helper()
	events, err := w.links.Events(t.Context(), orgA, slug, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Action == action && e.Outcome == "ok" {
			n++
		}
	}
	return n
}

func (w *world) snapshot(t *testing.T) string {
	t.Helper()
	row, exists := w.row(t)
	entries, err := w.links.Slugs(t.Context(), orgA, "", 10)
	data, e := json.Marshal(row)
	return fmt.Sprintf("%v %s %v %v %v", exists, data, entries, errors.Join(err, e), w.vault.Entries())
}

// checkEffect: what was reported as done is done, what was refused for good is not, and the
// owner can go on in any case.
func (op operation) checkEffect(t *testing.T, w *world, name string, err error, died bool) {
	t.Helper()
	row, exists := w.row(t)
	value := ""
	if exists && row.Phase == link.Live {
		v, gerr := w.vault.Get(t.Context(), row.Secret.Name, row.Secret.Version)
		if gerr != nil {
			return // reported already
		}
		value = v.Reveal()
	}
	done := op.done(row, exists, value)
	switch {
	case err == nil && !died && !done && op.leaves != trail.FellBack: // a token is handed out although the row cannot be written
		t.Errorf("%s: reported as done, but is not: %+v", name, row)
	case err != nil && !died && done && op.leaves != trail.FellBack && op.leaves != trail.Retired && problem.CodeOf(err) != problem.UpstreamUnavailable:
		t.Errorf("%s: refused with %v, but done: %+v", name, err, row)
	}
	s := w.process(nil)
	if n := w.trailed(t, op.leaves) - w.before; done && n != 1 || !done && n != 0 {
		t.Errorf("%s: done is %v, and the trail has %d new events %s", name, done, n, op.leaves)
	}
	if exists && row.Phase == link.Live {
		err = setSecret(s.Service, "next-secret")
	} else {
		err = register(s.Service, "next-secret")
	}
	if err != nil {
		t.Errorf("%s: the owner cannot go on: %v", name, err)
	}
	w.now = w.now.Add(link.Grace + time.Minute)
	if err := w.reconcile(w.process(nil)); err != nil {
		t.Errorf("%s: reconcile after going on: %v", name, err)
	}
	w.check(t, name+", and gone on")
	if told, changed := w.sink.distinct(notify.SecretRotated), w.trailed(t, trail.SecretChanged); told != changed && row.ReservedUntil.IsZero() && !w.buried(t) {
		t.Errorf("%s: %d changes of the secret, and %d were told", name, changed, told)
	}
}

// buried reports whether the link was deleted once: notices that were not sent by then are dropped.
func (w *world) buried(t *testing.T) bool { return w.trailed(t, trail.Deleted) > 0 }
