package tokens_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
)

// asCaller asks for a token on behalf of an application.
func (st *stage) asCaller(t *testing.T, s *instance, app string) {
	t.Helper()
	ctx := caller.With(t.Context(), caller.Caller{Organization: orgA, AppID: app, App: true})
	if _, err := s.Token(ctx, orgA, false, slug); err != nil {
		t.Fatal(err)
	}
}

func (st *stage) issued(t *testing.T) (n int) {
	t.Helper()
	for _, a := range st.actions(t) {
		if a == trail.TokenIssued {
			n++
		}
	}
	return n
}

// TestTokenEvents: one for each link and caller in each UTC hour, whatever the instance.
func TestTokenEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		other := st.another()
		for minute := range 120 {
			st.asCaller(t, st.instance, "app-1")
			st.asCaller(t, other, "app-1")
			st.asCaller(t, other, "app-2")
			want := 2 * (minute/60 + 1)
			if n := st.issued(t); n != want {
				t.Fatalf("in minute %d the trail has %d events, want %d", minute, n, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestTokenEventTime: the event of an hour has the time of its first token, and stands in its place
// among the others on a page.
func TestTokenEventTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		time.Sleep(25 * time.Minute)
		first := time.Now()
		st.asCaller(t, st.instance, "app-1")
		time.Sleep(time.Minute)
		if _, err := st.Verify(t.Context(), orgA, slug); err != nil {
			t.Fatal(err)
		}
		st.asCaller(t, st.another(), "app-1")
		events, _, err := st.Events(t.Context(), orgA, slug, 10, "")
		if err != nil || events[0].Action != trail.Verified || events[1].Action != trail.TokenIssued || events[1].At.Sub(first) >= time.Second || events[1].At.Before(first) {
			t.Errorf("the trail is %+v, %v, the first token was at %v", events, err, first)
		}
	})
}

// TestTokenWithoutTrail: a trail that hangs costs the first hand-out a short wait, and nobody
// after it; when it works again, the event is written.
func TestTokenWithoutTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		var hang atomic.Bool
		hang.Store(true)
		fault := st.links.Fault
		st.links.Fault = func(op string, s link.Slug, before bool) error {
			if op == "Append" && before && hang.Load() {
				time.Sleep(time.Minute)
				return store.ErrUnavailable
			}
			return fault(op, s, before)
		}
		took := func() time.Duration {
			start := time.Now()
			st.asCaller(t, st.instance, "app-1")
			return time.Since(start)
		}
		if d := took(); d > 500*time.Millisecond {
			t.Errorf("the first hand-out took %v", d)
		}
		for range 100 {
			if d := took(); d > 0 {
				t.Fatalf("a warm token took %v", d)
			}
			time.Sleep(time.Second)
		}
		hang.Store(false)
		time.Sleep(2 * time.Minute)
		took()
		synctest.Wait()
		if n := st.issued(t); n != 1 {
			t.Errorf("then the trail has %d events", n)
		}
	})
}

// TestTokenRefusals: a refusal is a separate event, once an hour.
func TestTokenRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.source.answer = refuse(7000222)
		for range 10 {
			if _, err := st.token(t.Context()); err == nil {
				t.Fatal("a token")
			}
			time.Sleep(time.Minute)
		}
		events, _, err := st.Events(context.Background(), orgA, slug, 10, "")
		if err != nil || len(events) != 2 || events[0].Outcome == events[1].Outcome || !strings.Contains(events[0].Outcome+events[1].Outcome, "aadsts_7000222") {
			t.Errorf("the trail is %+v, %v", events, err)
		}
	})
}
