package link_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// reported is who verified last, and what was found.
func (d *desk) reported(t *testing.T) string {
	t.Helper()
	r, err := d.Report(t.Context(), orgA, slug)
	if err != nil {
		return string(problem.CodeOf(err))
	}
	return fmt.Sprint(r.By, " ", r.Report.Status, " ", r.At.Sub(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
}

// TestReport: the report of every verification of a link is kept, with who asked for it; one that
// changes nothing stored is not.
func TestReport(t *testing.T) {
	d := newDesk()
	expect := func(want string) {
		t.Helper()
		if got := d.reported(t); got != want {
			t.Errorf("the last report is %q, want %q", got, want)
		}
		d.now = d.now.Add(time.Minute)
	}
	expect("link_not_found")
	d.register(t, orgA, slug)
	expect("register pass 1m0s")
	d.report = wrong
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	expect("verify fail 2m0s")
	wantCode(t, setSecret(d.Service, "bad-secret"), problem.VerificationFailed)
	expect("verify fail 2m0s")
	if _, err := d.Rehearse(t.Context(), orgA, registration("x")); err != nil {
		t.Fatal(err)
	}
	expect("verify fail 2m0s")
	d.report = healthy
	if err := setSecret(d.Service, "second-secret"); err != nil {
		t.Fatal(err)
	}
	expect("change pass 5m0s")
	if err := patch(d.Service, intake.Patch{Description: ptr("New")}); err != nil {
		t.Fatal(err)
	}
	expect("change pass 5m0s")
	_, err := d.Report(t.Context(), orgB, slug)
	theirs := wantCode(t, err, problem.LinkNotFound)
	_, err = d.Report(t.Context(), orgB, "no-such-clinic")
	if absent := wantCode(t, err, problem.LinkNotFound); strings.ReplaceAll(theirs.Detail, slug, "X") != strings.ReplaceAll(absent.Detail, "no-such-clinic", "X") {
		t.Errorf("%q is not as %q", theirs.Detail, absent.Detail)
	}
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	expect("link_not_found")
	if _, err := d.links.LastReport(t.Context(), slug); err == nil {
		t.Error("the report outlives the link")
	}
}

// TestReportOfAnotherRegistration: a report that a late verification left is not shown for the slug's
// next registration, and goes with the slug at the latest.
func TestReportOfAnotherRegistration(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	old := lastreport.Report{LinkID: "another", At: d.now, By: lastreport.Verify, Report: wrong}
	if err := d.links.PutReport(t.Context(), slug, old); err != nil {
		t.Fatal(err)
	}
	if got := d.reported(t); got != "report_not_found" {
		t.Errorf("the report of another registration: %q", got)
	}
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	if err := d.links.PutReport(t.Context(), slug, old); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.AddDate(0, 0, 91)
	d.sweep(t)
	if _, err := d.links.LastReport(t.Context(), slug); err == nil {
		t.Error("the report outlives the reservation of the slug")
	}
}

// TestReportIsNoCondition: that a report cannot be kept fails nothing, and says so in the log.
func TestReportIsNoCondition(t *testing.T) {
	d := newDesk()
	d.links.Fault = func(op string, _ link.Slug, before bool) error {
		if op == "PutReport" && before {
			return fmt.Errorf("%w: planted", store.ErrUnavailable)
		}
		return nil
	}
	d.register(t, orgA, slug)
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	if got := d.reported(t); got != "report_not_found" || strings.Count(d.log.String(), `"msg":"report.unwritten"`) != 2 {
		t.Errorf("%q, and the log has %s", got, &d.log)
	}
}

// TestTimerTellsTheTrail: a change of status that the timer finds is in the trail with its code, is
// in the finding, and has a report. What stays as it is leaves nothing.
func TestTimerTellsTheTrail(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	day := func() (codes []string) {
		t.Helper()
		d.now = d.now.Add(24 * time.Hour)
		for _, f := range d.sweep(t) {
			codes = append(codes, f.Code)
		}
		return codes
	}
	if codes := day(); !slices.Equal(codes, []string{""}) {
		t.Errorf("a healthy link: codes %q", codes)
	}
	d.asks.answer = refuse(700016)
	d.report = verification.Report{Status: verification.Fail, TenantID: orgA, Audience: server, Checks: []verification.Check{
		{ID: verification.CheckToken, Status: verification.Fail, Code: "aadsts_700016", Message: "m", Fix: "f"},
	}}
	for range 3 {
		if codes := day(); !slices.Equal(codes, []string{"aadsts_700016"}) {
			t.Errorf("a broken link: codes %q", codes)
		}
	}
	if got := d.reported(t); !strings.HasPrefix(got, "service fail 48h") {
		t.Errorf("the report is %q", got)
	}
	l, err := d.Get(t.Context(), orgA, slug)
	if err != nil || l.Reason(d.now) == nil || l.Reason(d.now).Code != "aadsts_700016" || !l.Reason(d.now).Since.Equal(d.now.Add(-48*time.Hour)) || !l.RecheckAt().After(d.now) {
		t.Errorf("the reason is %+v, next look %v, %v", l.Reason(d.now), l.RecheckAt(), err)
	}
	d.asks.answer, d.report = nil, healthy
	day()
	if got := d.trail(t); !slices.Equal(got, []string{"register ok", "verify aadsts_700016", "verify ok"}) {
		t.Errorf("the trail is %q", got)
	}
	events, _, err := d.Events(t.Context(), orgA, slug, 2, "")
	if err != nil || events[0].By != (trail.Actor{}) || events[1].By != (trail.Actor{}) {
		t.Errorf("the events are %+v, %v", events, err)
	}
}

// TestTimerTellsTheTrailThroughCrashes: the event is on the row in the write of the status.
func TestTimerTellsTheTrailThroughCrashes(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.report = noRole
	d.links.Fault = func(op string, _ link.Slug, before bool) error {
		if op == "Append" && before {
			return fmt.Errorf("%w: planted", store.ErrUnavailable)
		}
		return nil
	}
	d.now = d.now.AddDate(0, 0, 8)
	d.sweep(t)
	d.links.Fault = nil
	if got := d.trail(t); !slices.Equal(got, []string{"register ok"}) {
		t.Errorf("before: %q", got)
	}
	d.now = d.now.Add(link.Grace + time.Minute)
	d.sweep(t)
	if got := d.trail(t); !slices.Equal(got, []string{"register ok", "verify x"}) {
		t.Errorf("after: %q", got)
	}
}

// TestVerifyIsInTheTrailOnce: somebody who verifies is in the trail himself, not the timer too.
func TestVerifyIsInTheTrailOnce(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.report = wrong
	d.now = d.now.Add(time.Minute)
	ctx := caller.With(context.Background(), caller.Caller{Organization: orgA, ObjectID: "oid"})
	if _, err := d.Verify(ctx, orgA, slug); err != nil {
		t.Fatal(err)
	}
	if got := d.trail(t); !slices.Equal(got, []string{"register ok", "verify x"}) {
		t.Errorf("the trail is %q", got)
	}
}

// TestReason: every status but active has its reason.
func TestReason(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	stored := &condition.Problem{Check: "token", Code: "aadsts_7000222"}
	past := link.Secret{ExpiresOn: date.Of(now.AddDate(0, 0, -3))}
	for name, tt := range map[string]struct {
		l    link.Link
		code string
	}{
		"active":                          {link.Link{Condition: condition.Condition{Health: condition.Active, Problem: stored}}, ""},
		"broken":                          {link.Link{Condition: condition.Condition{Health: condition.Broken, Problem: stored}}, "aadsts_7000222"},
		"expired by its date":             {link.Link{Condition: condition.Condition{Health: condition.Active}, Secret: past}, "expiry_past"},
		"expired by its date, and broken": {link.Link{Condition: condition.Condition{Health: condition.Broken, Problem: stored}, Secret: past}, "expiry_past"},
		"refused as expired":              {link.Link{Condition: condition.Condition{Health: condition.Broken, Problem: stored}, Secret: link.Secret{Expired: true}}, "aadsts_7000222"},
		"broken, of a row of before":      {link.Link{Condition: condition.Condition{Health: condition.Broken, Failing: "token"}}, ""},
	} {
		got := tt.l.Reason(now)
		if (got == nil) != (tt.code == "") || got != nil && got.Code != tt.code {
			t.Errorf("%s: %+v, want %q", name, got, tt.code)
		}
		if got != nil && tt.code == "expiry_past" && (!got.Since.Equal(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)) || got.Message == "" || got.Fix == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
