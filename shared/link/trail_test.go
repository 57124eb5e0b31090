package link_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
)

// trail is a link's trail in words, the oldest first.
func (d *desk) trail(t *testing.T) (words []string) {
	t.Helper()
	events, _, err := d.Events(t.Context(), orgA, slug, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		words = append(words, fmt.Sprintf("%s %s", e.Action, e.Outcome))
	}
	slices.Reverse(words)
	return words
}

func TestTrail(t *testing.T) {
	d := newDesk()
	tick := func() { d.now = d.now.Add(time.Minute) }
	caller := caller.With(t.Context(), caller.Caller{Organization: orgA, ObjectID: "oid-1", AppID: "app-1"})
	do := func(err error) { t.Helper(); tick(); _ = err }

	d.report = wrong
	do(register(d.Service, "bad-secret"))
	d.report = healthy
	_, err := d.Register(caller, orgA, registration("first-secret"))
	do(err)
	_, err = d.Verify(caller, orgA, slug)
	do(err)
	d.report = wrong
	_, err = d.Verify(caller, orgA, slug)
	do(err)
	do(setSecret(d.Service, "bad-secret"))
	d.report = healthy
	do(patch(d.Service, intake.Patch{Description: ptr("New")}))
	do(patch(d.Service, intake.Patch{ClientID: ptr(otherClient)}))
	do(setSecret(d.Service, "second-secret"))
	_, err = d.Patch(caller, orgA, slug, `"stale"`, intake.Patch{})
	do(err)
	do(d.Delete(caller, orgA, slug, ""))
	do(d.Delete(caller, orgA, slug, "*"))

	want := []string{
		"register ok", "verify ok", "verify x", "change_secret verification_failed", "change ok",
		"change secret_required", "change_secret ok", "change changed_meanwhile", "delete if_match_required", "delete ok",
	}
	if got := d.trail(t); !slices.Equal(got, want) {
		t.Errorf("the trail is %q, want %q", got, want)
	}
	events, _, err := d.Events(t.Context(), orgA, slug, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	last := events[0]
	if last.By != (trail.Actor{Organization: orgA, ObjectID: "oid-1", AppID: "app-1"}) || last.LinkID == "" || !last.At.Equal(d.now.Add(-time.Minute)) {
		t.Errorf("the last event is %+v", last)
	}
	for _, e := range events {
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "secret-") || strings.Contains(text, "-secret") {
			t.Errorf("a secret in %s", text)
		}
	}
}

// TestTrailIsOnesOwn: nobody else reads it, whatever they did to the slug; and its owner does,
// also after the deletion.
func TestTrailIsOnesOwn(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	_, err := d.Register(t.Context(), orgB, registration("x-secret"))
	wantCode(t, err, problem.SlugTaken)
	check := func() {
		t.Helper()
		_, _, theirs := d.Events(t.Context(), orgB, slug, 10, "")
		_, _, absent := d.Events(t.Context(), orgB, "no-such-clinic", 10, "")
		a, b := wantCode(t, theirs, problem.LinkNotFound), wantCode(t, absent, problem.LinkNotFound)
		if strings.ReplaceAll(a.Detail, slug, "X") != strings.ReplaceAll(b.Detail, "no-such-clinic", "X") {
			t.Errorf("%q is not as %q", a.Detail, b.Detail)
		}
	}
	check()
	d.now = d.now.Add(time.Minute)
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	check()
	if got := d.trail(t); !slices.Equal(got, []string{"register ok", "delete ok"}) {
		t.Errorf("after the deletion: %q", got)
	}
}

func TestTrailPages(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	for i := range 7 {
		d.now = d.now.Add(time.Minute)
		if err := patch(d.Service, intake.Patch{Description: ptr(fmt.Sprint("New ", i))}); err != nil {
			t.Fatal(err)
		}
	}
	var times []time.Time
	next := ""
	for page := 0; ; page++ {
		events, more, err := d.Events(t.Context(), orgA, slug, 3, next)
		if err != nil || page > 3 {
			t.Fatal(page, err)
		}
		for _, e := range events {
			times = append(times, e.At)
		}
		if next = more; next == "" {
			break
		}
	}
	if len(times) != 8 || !slices.IsSortedFunc(times, func(a, b time.Time) int { return b.Compare(a) }) {
		t.Errorf("pages have the events of %v", times)
	}
	for _, forged := range []string{"x", "!", "Y2xpbmljLWE"} {
		_, _, err := d.Events(t.Context(), orgA, slug, 3, forged)
		wantCode(t, err, problem.InvalidFields)
	}
}

// TestRefusedWhenWritten: a change that is refused only when it is written is in the trail of its
// link.
func TestRefusedWhenWritten(t *testing.T) {
	for name, change := range map[string]func(*link.Service) error{
		"a new secret": func(s *link.Service) error { return setSecret(s, "second-secret") },
		"a new date": func(s *link.Service) error {
			return patch(s, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-02-03")}})
		},
	} {
		d := newDesk()
		d.register(t, orgA, slug)
		if _, err := d.links.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
			l.Change = &link.Change{ID: "another", Since: d.now}
			return l, nil
		}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, change(d.Service), problem.ChangedMeanwhile)
		events, _, err := d.Events(t.Context(), orgA, slug, 10, "")
		if err != nil || !slices.ContainsFunc(events, func(e trail.Event) bool { return e.Outcome == string(problem.ChangedMeanwhile) }) {
			t.Errorf("%s: the trail is %+v, %v", name, events, err)
		}
	}
}

// TestRefusedRegistration: a registration that fails leaves nothing in the trail, where nobody could
// read it, and a line in the log.
func TestRefusedRegistration(t *testing.T) {
	d := newDesk()
	d.report = wrong
	wantCode(t, register(d.Service, "bad-secret"), problem.VerificationFailed)
	events, err := d.links.Events(t.Context(), orgA, slug, "", 10)
	if err != nil || len(events) > 0 {
		t.Errorf("the trail has %+v, %v", events, err)
	}
	var line struct{ Msg, Link, TID, Code, Finding string }
	if err := json.Unmarshal(d.log.Bytes(), &line); err != nil || line.Msg != "registration.refused" || line.Link != slug || line.TID != orgA || line.Code != "verification_failed" || line.Finding != "x" {
		t.Errorf("the log has %s, %v", &d.log, err)
	}
}
