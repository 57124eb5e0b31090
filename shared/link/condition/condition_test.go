package condition_test

import (
	"testing"
	"time"

	"fhirlink/shared/link/condition"
	"fhirlink/shared/verification"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestAfter(t *testing.T) {
	const slug = "clinic"
	now := start
	after := func(c condition.Condition, at time.Time, outcomes ...verification.Outcome) condition.Condition {
		for _, o := range outcomes {
			c = c.After(o, failed("read", "x"), slug, at)
		}
		return c
	}
	active := after(condition.Condition{}, now, verification.OutcomeActive)
	if active.Health != condition.Active || active.Failing != "" || !active.NextVerify.After(now) || active.NextVerify.Sub(now) > 24*time.Hour {
		t.Errorf("active: %+v", active)
	}
	twice := after(active, now, verification.OutcomeTransient, verification.OutcomeTransient)
	if twice.Health != condition.Active || twice.Attempts != 2 || twice.NextVerify.Sub(now) != 5*time.Minute {
		t.Errorf("after two transient failures: %+v", twice)
	}
	if c := after(twice, now, verification.OutcomeTransient); c.Health != condition.Degraded || c.NextVerify.Sub(now) != time.Hour {
		t.Errorf("after three: %+v", c)
	}
	if c := after(twice, now, verification.OutcomeActive); c != active || c.Problem != nil {
		t.Errorf("well again: %+v", c)
	}
	for _, o := range []verification.Outcome{verification.OutcomeBroken, verification.OutcomeExpired} {
		if c := after(twice, now, o); c.Health != condition.Broken || c.Failing != "read" || c.Attempts != 0 {
			t.Errorf("%v: %+v", o, c)
		}
	}
	if c := after(after(active, now, verification.OutcomeBroken), now, verification.OutcomeTransient); c.Health != condition.Broken {
		t.Errorf("a transient failure of a broken link: %+v", c)
	}
}

// failed is a check that failed.
func failed(id, code string) verification.Check {
	return verification.Check{ID: id, Code: code, Message: "message of " + code, Fix: "fix of " + code}
}

var noRole = failed("read", "fhir_403_rbac")

// TestPending: verified again after 1, 3, 5, 10, 20 and 30 minutes, then hourly for 14 days, also
// when people verify meanwhile. Then the link is broken.
func TestPending(t *testing.T) {
	want := []time.Duration{1, 3, 5, 10, 20, 30}
	for hour := range 14 * 24 {
		want = append(want, time.Duration(30+60*(hour+1)))
	}
	c, now := condition.Condition{}, start
	for i, minutes := range want {
		for range 3 {
			c = c.After(verification.OutcomePendingAccess, noRole, "clinic", now)
		}
		if c.Health != condition.PendingAccess || c.Attempts != min(i+1, 6) || !c.NextVerify.Equal(start.Add(minutes*time.Minute)) {
			t.Fatalf("try %d: %+v, want it after %d minutes", i+1, c, minutes)
		}
		if c.Problem == nil || !c.Problem.Since.Equal(start) || !c.PendingSince.Equal(start) {
			t.Fatalf("try %d: pending since %v, problem %+v", i+1, c.PendingSince, c.Problem)
		}
		now = c.NextVerify
	}
	for range 2 {
		if c = c.After(verification.OutcomePendingAccess, noRole, "clinic", now); c.Health != condition.Broken || c.NextVerify.Sub(now) > 24*time.Hour || c.Attempts != 0 || !c.PendingSince.IsZero() {
			t.Errorf("after the last try: %+v", c)
		}
		if c.Problem == nil || !c.Problem.Since.Equal(start) || c.Problem.Code != noRole.Code {
			t.Errorf("broken because of %+v", c.Problem)
		}
	}
	if c = c.After(verification.OutcomeActive, verification.Check{}, "clinic", now); c.Health != condition.Active || c.Problem != nil {
		t.Errorf("with the role at last: %+v", c)
	}
}

// TestPendingLate: a try that comes late goes on in the schedule where the time is, on the hour.
func TestPendingLate(t *testing.T) {
	c := condition.Condition{}.After(verification.OutcomePendingAccess, noRole, "clinic", start)
	c = c.After(verification.OutcomePendingAccess, noRole, "clinic", start.Add(30*time.Hour))
	if want := start.Add(30*time.Hour + 30*time.Minute); c.Health != condition.PendingAccess || !c.NextVerify.Equal(want) {
		t.Errorf("%+v, want it again at %v", c, want)
	}
	if c = c.After(verification.OutcomePendingAccess, noRole, "clinic", start.Add(15*24*time.Hour)); c.Health != condition.Broken {
		t.Errorf("after 15 days: %+v", c)
	}
}

// TestPendingOfBefore: rows of the version before, which knew six tries and no PendingSince, go on;
// and it reads the rows of this one: it takes 1 to 6 attempts only.
func TestPendingOfBefore(t *testing.T) {
	for attempts, minutes := range map[int]time.Duration{1: 1, 2: 3, 3: 5, 4: 10, 5: 20, 6: 30, 0: 1, 7: 30} { // 0 and 7: nobody wrote them
		old := condition.Condition{Health: condition.PendingAccess, Failing: "read", Attempts: attempts, NextVerify: start.Add(minutes * time.Minute)}
		waiting := old.After(verification.OutcomeTransient, failed("read", "fhir_5xx"), "clinic", old.NextVerify)
		if !waiting.NextVerify.Equal(old.NextVerify.Add(5*time.Minute)) || waiting.Health != condition.PendingAccess {
			t.Errorf("%d attempts, then an outage: %+v", attempts, waiting)
		}
		for _, c := range []condition.Condition{old, waiting} {
			next := c.After(verification.OutcomePendingAccess, noRole, "clinic", start.Add(45*time.Minute))
			if next.Health != condition.PendingAccess || !next.PendingSince.Equal(start) || !next.NextVerify.Equal(start.Add(90*time.Minute)) || next.Attempts < 1 || next.Attempts > 6 {
				t.Errorf("%d attempts: %+v", attempts, next)
			}
			if next.Problem == nil || !next.Problem.Since.Equal(start.Add(45*time.Minute)) {
				t.Errorf("the problem of a row that had none is %+v", next.Problem)
			}
		}
	}
}

// TestProblem: a problem lasts as long as the same check fails with the same code; its words are the
// latest.
func TestProblem(t *testing.T) {
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	c := condition.Condition{}.After(verification.OutcomeBroken, failed("token", "aadsts_7000215"), "clinic", at(0))
	again := failed("token", "aadsts_7000215")
	again.Message, again.Command = "another message", "az x"
	c = c.After(verification.OutcomeBroken, again, "clinic", at(5))
	if want := (condition.Problem{Check: "token", Code: "aadsts_7000215", Message: "another message", Fix: again.Fix, Command: "az x", Since: at(0)}); *c.Problem != want {
		t.Errorf("%+v, want %+v", *c.Problem, want)
	}
	if other := c.After(verification.OutcomeBroken, failed("token", "aadsts_700016"), "clinic", at(6)); !other.Problem.Since.Equal(at(6)) {
		t.Errorf("another code: %+v", other.Problem)
	}
	if other := c.After(verification.OutcomeBroken, failed("read", "aadsts_7000215"), "clinic", at(6)); !other.Problem.Since.Equal(at(6)) {
		t.Errorf("another check: %+v", other.Problem)
	}
	if still := c.After(verification.OutcomeTransient, failed("read", "fhir_5xx"), "clinic", at(7)); still.Problem.Code != "aadsts_7000215" || !still.Problem.Since.Equal(at(0)) {
		t.Errorf("a transient failure taught something about a broken link: %+v", still.Problem)
	}
	c = condition.Condition{Health: condition.Active}
	for i := range 4 {
		c = c.After(verification.OutcomeTransient, failed("read", "fhir_5xx"), "clinic", at(i))
	}
	if c.Health != condition.Degraded || c.Problem.Code != "fhir_5xx" || !c.Problem.Since.Equal(at(0)) {
		t.Errorf("degraded: %+v, %+v", c, c.Problem)
	}
	earlier := *c.Problem
	if next := c.After(verification.OutcomeTransient, again, "clinic", at(9)); next.Problem == c.Problem || *c.Problem != earlier {
		t.Error("After changes the problem that it was given")
	}
}
