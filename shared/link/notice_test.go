package link_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/notify"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// sink is a channel with one receiver for every organization.
type sink struct {
	mu     sync.Mutex
	got    []notify.Event
	answer func(notify.Event) notify.Result // nil: Delivered
}

var sinkTarget = notify.Target{Channel: "webhook", ID: "wh-1"}

func (s *sink) Name() string { return "webhook" }

func (s *sink) Targets(context.Context, string) ([]notify.Target, error) {
	return []notify.Target{sinkTarget}, nil
}

func (s *sink) Deliver(_ context.Context, _ string, _ notify.Target, e notify.Event) notify.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, e)
	if s.answer != nil {
		return s.answer(e)
	}
	return notify.Result{Outcome: notify.Delivered}
}

// distinct counts the notices of a type that the receiver holds, who remembers IDs.
func (s *sink) distinct(kind notify.Type) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range s.got {
		if e.Type == kind {
			ids[e.ID] = true
		}
	}
	return len(ids)
}

// told lists what arrived, in words.
func (s *sink) told() (all []string) {
	for _, e := range s.got {
		text := strings.TrimPrefix(string(e.Type), "fhirlink.")
		if e.Threshold != nil {
			text += fmt.Sprintf(" %d", *e.Threshold)
		}
		all = append(all, text)
	}
	return all
}

// tokenFunc is an authority that issues a token unless the function has an error.
type tokenFunc func(entra.Credentials) error

func (f tokenFunc) Token(_ context.Context, c entra.Credentials, _ string) (entra.Token, error) {
	if err := f(c); err != nil {
		return entra.Token{}, err
	}
	return entra.Token{Access: secret.New("token by " + c.Credential.Text().Reveal()), ExpiresOn: farOff}, nil
}

// office is a desk whose notices go to a sink, and to a mailer.
type office struct {
	*desk
	sink  *sink
	mails []notify.Digest
	mail  notify.Result

	delivered int // as the timer's runs count it
}

func (o *office) Digest(_ context.Context, d notify.Digest) notify.Result {
	o.mails = append(o.mails, d)
	return o.mail
}

func newOffice(t *testing.T, expiresOn string, contacts ...string) *office {
	t.Helper()
	o := &office{desk: newDesk(), sink: &sink{}, mail: notify.Result{Outcome: notify.Delivered}}
	o.deps.Channel, o.deps.Mailer = o.sink, o
	o.Service = link.New(o.deps)
	r := registration("the-secret")
	r.SecretExpiresOn, r.Contacts = expiresOn, contacts
	if _, err := o.Register(t.Context(), orgA, r); err != nil {
		t.Fatal(err)
	}
	return o
}

// run lets the timer fire every step for so long.
func (o *office) run(t *testing.T, step, length time.Duration) {
	t.Helper()
	for end := o.now.Add(length); o.now.Before(end); {
		o.now = o.now.Add(step)
		o.fire(t)
	}
}

// fire is one run of the timer, mail included.
func (o *office) fire(t *testing.T) {
	t.Helper()
	letters := map[string][]telling.Letter{}
	for _, f := range o.sweep(t) {
		o.delivered += f.Delivered
		for _, l := range f.Letters {
			letters[l.About.Organization] = append(letters[l.About.Organization], l)
		}
	}
	for _, of := range letters {
		n, err := o.Service.Digest(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		o.delivered += n
	}
}

func (o *office) row(t *testing.T) link.Link {
	t.Helper()
	l, err := o.links.Get(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const hour = time.Hour

// TestToldOnce: each threshold once, in order, and the end.
func TestToldOnce(t *testing.T) {
	o := newOffice(t, "2027-01-23") // 61 days
	o.run(t, hour, 70*24*hour)
	want := []string{"secret.expiring 60", "secret.expiring 30", "secret.expiring 14", "secret.expiring 7", "secret.expiring 3", "secret.expiring 1", "secret.expiring 0", "secret.expired"}
	if got := o.sink.told(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	first := o.sink.got[0]
	if first.Slug != slug || first.Organization != orgA || first.Description != "Good Health Clinic" || first.Status != "active" || first.SecretState != "expiring" ||
		first.ExpiresOn != "2027-01-23" || first.DaysLeft == nil || *first.DaysLeft != 60 || first.Message == "" || first.Fix == "" || first.Time.After(o.now) {
		t.Errorf("the first event is %+v", first)
	}
	if last := o.sink.got[len(o.sink.got)-1]; last.Status != "expired" || last.SecretState != "expired" || *last.DaysLeft != -1 {
		t.Errorf("the last event is %+v", last)
	}
	if n := len(o.row(t).Notices); n > 0 {
		t.Errorf("%d notices are left on the row", n)
	}
}

// TestOwnThresholds: the days are those that are set.
func TestOwnThresholds(t *testing.T) {
	o := newOffice(t, "2027-01-23")
	d := o.deps
	d.Thresholds = []int{5, 20}
	o.Service = link.New(d)
	o.run(t, hour, 70*24*hour)
	if got, want := o.sink.told(), []string{"secret.expiring 20", "secret.expiring 5", "secret.expired"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestSilence: after days without a run only the tightest threshold is told.
func TestSilence(t *testing.T) {
	for days, want := range map[int][]string{
		40:  {"secret.expiring 30"},
		55:  {"secret.expiring 7"},
		61:  {"secret.expiring 0"},
		100: {"secret.expired"},
	} {
		o := newOffice(t, "2027-01-23")
		o.now = o.now.AddDate(0, 0, days)
		for range 3 {
			o.fire(t)
		}
		if got := o.sink.told(); !slices.Equal(got, want) {
			t.Errorf("after %d days told %q, want %q", days, got, want)
		}
	}
}

// TestUnsent: a notice that was not sent yet gives way to a nearer one.
func TestUnsent(t *testing.T) {
	o := newOffice(t, "2027-01-23")
	d := o.deps
	d.Channel = lost{o.sink}
	broken := link.New(d)
	sound := o.Service
	o.Service = broken
	for range 58 {
		o.now = o.now.Add(24 * hour)
		if _, err := o.Tend(t.Context(), slug); err != nil && !strings.Contains(err.Error(), "no answer") {
			t.Fatal(err)
		}
	}
	if n := len(o.row(t).Notices); n != 1 {
		t.Errorf("%d notices wait, want the latest", n)
	}
	o.Service = sound
	o.fire(t)
	if got, want := o.sink.told(), []string{"secret.expiring 3"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// lost is a channel that cannot say whom to tell.
type lost struct{ *sink }

func (lost) Targets(context.Context, string) ([]notify.Target, error) {
	return nil, errors.New("no answer")
}

// TestDateMissing: a missing date is asked for every 30 days.
func TestDateMissing(t *testing.T) {
	o := newOffice(t, "")
	o.run(t, 12*hour, 95*24*hour)
	if got, want := o.sink.told(), []string{"secret.date_missing", "secret.date_missing", "secret.date_missing"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if n := o.sink.distinct(notify.SecretDateMissing); n != 3 {
		t.Errorf("with %d IDs, want 3", n)
	}
}

// TestCorrectedDate: the thresholds of a corrected date are told again.
func TestCorrectedDate(t *testing.T) {
	o := newOffice(t, "2027-01-23")
	o.run(t, hour, 40*24*hour) // 21 days left
	if err := patch(o.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-03-15")}}); err != nil {
		t.Fatal(err)
	}
	o.run(t, hour, 45*24*hour)
	if got, want := o.sink.told(), []string{"secret.expiring 60", "secret.expiring 30", "secret.expiring 60", "secret.expiring 30"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if n := o.sink.distinct(notify.SecretExpiring); n != 4 {
		t.Errorf("with %d IDs, want 4: a receiver would take the new ones for repetitions", n)
	}
}

// TestCondition: broken, expired by Entra's word, recovered, rotated, each when it happens.
func TestCondition(t *testing.T) {
	o := newOffice(t, "2027-10-01")
	verify := func(r verification.Report) {
		t.Helper()
		o.report = r
		for range 2 {
			if _, err := o.Verify(t.Context(), orgA, slug); err != nil {
				t.Fatal(err)
			}
			o.now = o.now.Add(time.Minute)
			o.fire(t)
		}
	}
	for _, r := range []verification.Report{healthy, unreachable, wrong, unreachable, expired, wrong, healthy, expired, healthy, expired} {
		verify(r)
	}
	o.report = healthy
	if err := setSecret(o.Service, "next-secret"); err != nil {
		t.Fatal(err)
	}
	o.fire(t)
	want := []string{"link.broken", "secret.expired", "link.broken", "link.recovered", "link.recovered", "secret.rotated"}
	if got := o.sink.told(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if e := o.sink.got[1]; e.SecretState != "expired" || e.ExpiresOn != "2027-10-01" || e.DaysLeft != nil {
		t.Errorf("Entra says that it expired before its date: %+v", e)
	}
	if e := o.sink.got[0]; e.Code != "x" || !strings.Contains(e.Message, "It failed.") || e.Fix != "Mend it." || e.Status != "broken" {
		t.Errorf("broken: %+v", e)
	}
	ids := map[string]bool{}
	for _, e := range o.sink.got {
		ids[e.ID] = true
	}
	if len(ids) != len(want) {
		t.Errorf("%d IDs of %d events", len(ids), len(want))
	}
}

// TestRetries: the schedule of the receiver's failures, always with one ID, to its end.
func TestRetries(t *testing.T) {
	o := newOffice(t, "2027-01-23")
	o.sink.answer = func(notify.Event) notify.Result { return notify.Result{Outcome: notify.Retry} }
	o.now = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	var at []time.Duration
	for start := o.now; o.now.Sub(start) < 5*24*hour; o.now = o.now.Add(time.Minute) {
		before := len(o.sink.got)
		o.fire(t)
		if len(o.sink.got) > before {
			at = append(at, o.now.Sub(start))
		}
	}
	if n := o.sink.distinct(notify.SecretExpiring); n != 1 {
		t.Errorf("the attempts have %d IDs", n)
	}
	m, h := time.Minute, time.Hour
	want := []time.Duration{0, m, 6 * m, 36 * m, 2*h + 36*m, 7*h + 36*m, 17*h + 36*m, 31*h + 36*m, 51*h + 36*m, 75*h + 36*m}
	if !slices.Equal(at, want) {
		t.Errorf("attempts after %v, want %v", at, want)
	}
	if n := len(o.row(t).Notices); n > 0 || o.delivered != 0 {
		t.Errorf("%d notices are left after the last attempt, %d count as delivered", n, o.delivered)
	}
}

func TestGone(t *testing.T) {
	o := newOffice(t, "2027-01-23")
	o.sink.answer = func(notify.Event) notify.Result { return notify.Result{Outcome: notify.Gone} }
	o.run(t, hour, 3*24*hour)
	if len(o.sink.got) != 1 || len(o.row(t).Notices) > 0 {
		t.Errorf("%d attempts, %d notices left", len(o.sink.got), len(o.row(t).Notices))
	}
}

// TestPanickingChannel: it is one failed attempt.
func TestPanickingChannel(t *testing.T) {
	o := newOffice(t, "2027-01-23")
	o.sink.answer = func(notify.Event) notify.Result { panic("boom") }
	o.run(t, hour, 25*hour)
	o.sink.answer = nil
	o.run(t, hour, 25*hour)
	if n := o.sink.distinct(notify.SecretExpiring); n != 1 || len(o.row(t).Notices) > 0 {
		t.Errorf("%d notices arrived, %d are left", n, len(o.row(t).Notices))
	}
}

// TestNobody: without a receiver nothing is kept.
func TestNobody(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.report = wrong
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	d.sweep(t)
	if l, err := d.links.Get(t.Context(), slug); err != nil || len(l.Notices) > 0 {
		t.Errorf("%+v, %v", l.Notices, err)
	}
}

// TestDigest: one mail per organization and day for all its links, to all their contacts.
func TestDigest(t *testing.T) {
	o := newOffice(t, "2027-01-23", "it@clinic.example", "boss@clinic.example")
	r := registration("the-secret")
	r.Slug, r.SecretExpiresOn, r.Contacts = "second-clinic", "2027-01-23", []string{"it@clinic.example", "two@clinic.example"}
	if _, err := o.Register(t.Context(), orgA, r); err != nil {
		t.Fatal(err)
	}
	o.run(t, 10*time.Minute, 64*24*hour)
	if len(o.mails) != 8 {
		t.Fatalf("%d mails, want 8", len(o.mails))
	}
	days := map[string]bool{}
	for _, m := range o.mails {
		days[m.Day] = true
		if m.Organization != orgA || len(m.Events) != 2 || !slices.Equal(m.Contacts, []string{"boss@clinic.example", "it@clinic.example", "two@clinic.example"}) {
			t.Errorf("mail %+v", m)
		}
	}
	if len(days) != 8 {
		t.Errorf("on %d days", len(days))
	}
	if want := len(o.sink.got) + 8*2; len(o.sink.got) != 16 || o.delivered != want {
		t.Errorf("%d notices count as delivered, want %d, %d of them to the webhook", o.delivered, want, len(o.sink.got))
	}
}

// TestDigestFails: it is tried again, and what it is about is not lost.
func TestDigestFails(t *testing.T) {
	o := newOffice(t, "2027-01-23", "it@clinic.example")
	o.mail = notify.Result{Outcome: notify.Retry}
	o.run(t, 10*time.Minute, 30*hour)
	tried := len(o.mails)
	o.mail = notify.Result{Outcome: notify.Delivered}
	o.run(t, 10*time.Minute, 30*hour)
	if tried < 2 || len(o.mails) != tried+1 || len(o.row(t).Notices) > 0 {
		t.Errorf("%d attempts failed, %d in all, %d notices left", tried, len(o.mails), len(o.row(t).Notices))
	}
}

// TestDigestOncePerDay: what comes to a second run of the day waits for the next.
func TestDigestOncePerDay(t *testing.T) {
	o := newOffice(t, "2027-01-23", "it@clinic.example")
	o.now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	o.fire(t)
	o.run(t, 10*time.Minute, 24*hour)
	if len(o.mails) != 1 {
		t.Fatalf("%d mails", len(o.mails))
	}
	day := o.mails[0].Day
	if _, err := o.links.Update(t.Context(), slug, func(l link.Link) (link.Link, error) { // as if a run had been cut in two
		l.Notices = telling.Outbox{{
			ID: "late", Type: notify.LinkRecovered, At: o.now, Version: l.Secret.Version,
			Deliveries: []telling.Delivery{{Target: notify.Target{Channel: "mail", ID: "contacts"}, Next: o.now}},
		}}
		return l, nil
	}); err != nil {
		t.Fatal(err)
	}
	o.fire(t)
	if len(o.mails) != 1 {
		t.Error("a second mail on one day")
	}
	o.run(t, 10*time.Minute, 24*hour)
	if len(o.mails) != 2 || o.mails[1].Day == day || o.mails[1].Events[0].ID != "late" {
		t.Errorf("mails %+v", o.mails)
	}
}

// TestChannelsTakenAway: what waits for a channel that is no longer set up waits no more.
func TestChannelsTakenAway(t *testing.T) {
	o := newOffice(t, "2027-01-23", "it@clinic.example")
	o.sink.answer = func(notify.Event) notify.Result { return notify.Result{Outcome: notify.Retry} }
	o.run(t, hour, 13*hour)
	if n := len(o.row(t).Notices); n != 1 {
		t.Fatalf("%d notices wait", n)
	}
	d := o.deps
	d.Channel, d.Mailer = nil, nil
	o.Service = link.New(d)
	o.run(t, hour, 48*hour)
	if n := len(o.row(t).Notices); n > 0 {
		t.Errorf("%d notices still wait", n)
	}
}

// TestRotatedBeforeTheDigest: a mail does not warn of a secret that was replaced.
func TestRotatedBeforeTheDigest(t *testing.T) {
	o := newOffice(t, "2027-01-23", "it@clinic.example")
	o.now = time.Date(2026, 11, 24, 0, 1, 0, 0, time.UTC)
	o.fire(t)
	if err := setSecret(o.Service, "next-secret"); err != nil {
		t.Fatal(err)
	}
	o.run(t, 10*time.Minute, 24*hour)
	if len(o.mails) != 1 || len(o.mails[0].Events) != 1 || o.mails[0].Events[0].Type != notify.SecretRotated {
		t.Errorf("mails %+v", o.mails)
	}
}

// TestLongestNotices: a row with as many notices as it can have fits into a table's property.
func TestLongestNotices(t *testing.T) {
	o := newOffice(t, "2027-10-01")
	long := strings.Repeat("\U0001F3E5<>&", 500)
	report := failed(verification.CheckToken, verification.OutcomeBroken)
	report.Checks[0].Message, report.Checks[0].Fix, report.Checks[0].Code = long, long, "aadsts_7000215"
	d := o.deps
	d.Channel = many{o.sink}
	o.Service = link.New(d)
	for range 20 {
		for _, r := range []verification.Report{report, healthy} {
			o.report = r
			if _, err := o.Verify(t.Context(), orgA, slug); err != nil {
				t.Fatal(err)
			}
			o.now = o.now.Add(time.Minute)
			if _, err := o.Tend(t.Context(), slug); err != nil {
				t.Fatal(err)
			}
		}
	}
	notices := o.row(t).Notices
	var data bytes.Buffer
	plain := json.NewEncoder(&data)
	plain.SetEscapeHTML(false)
	if err := plain.Encode(notices); err != nil || len(notices) != 12 || len(notices[0].Deliveries) != 8 {
		t.Fatalf("%d notices with %d deliveries, %v", len(notices), len(notices[0].Deliveries), err)
	}
	if n := len(utf16.Encode([]rune(data.String()))); n > 32<<10 {
		t.Errorf("they take %d UTF-16 units, more than 32 Ki", n)
	}
}

// many is a channel with more receivers than anybody has, none of which answers.
type many struct{ *sink }

func (many) Targets(context.Context, string) (all []notify.Target, err error) {
	for i := range 30 {
		all = append(all, notify.Target{Channel: "webhook", ID: fmt.Sprintf("endpoint-%026d", i)})
	}
	return all, nil
}

func (many) Deliver(context.Context, string, notify.Target, notify.Event) notify.Result {
	return notify.Result{Outcome: notify.Retry, RetryAfter: 24 * time.Hour}
}
