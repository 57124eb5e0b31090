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
			c = c.After(o, "read", slug, at)
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
	if c := after(twice, now, verification.OutcomeActive); c != active {
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

// TestPending: verified again after 1, 3, 5, 10, 20 and 30 minutes, also when people verify meanwhile.
func TestPending(t *testing.T) {
	c, now := condition.Condition{}, start
	for i, minutes := range []int{1, 3, 5, 10, 20, 30} {
		for range 3 {
			c = c.After(verification.OutcomePendingAccess, "read", "clinic", now)
		}
		if c.Health != condition.PendingAccess || c.Attempts != i+1 || !c.NextVerify.Equal(start.Add(time.Duration(minutes)*time.Minute)) {
			t.Fatalf("try %d: %+v, want it after %d minutes", i+1, c, minutes)
		}
		now = c.NextVerify
	}
	if c = c.After(verification.OutcomePendingAccess, "read", "clinic", now); c.Health != condition.Broken {
		t.Errorf("after the last try: %+v", c)
	}
	if c = c.After(verification.OutcomePendingAccess, "read", "clinic", now); c.Health != condition.Broken {
		t.Errorf("broken, and still no role: %+v", c)
	}
}
