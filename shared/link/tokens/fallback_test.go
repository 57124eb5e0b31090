package tokens_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/secret"
)

// rotated is a stage whose link went from the-secret to next-secret just now. The answers of
// the authority depend on the secret it is asked with.
func rotated(t *testing.T, answers map[string]int) *stage {
	t.Helper()
	st := newStage(t)
	if _, err := st.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientSecret: secret.New("next-secret")}); err != nil {
		t.Fatal(err)
	}
	st.source.answer = func(c entra.Credentials) error {
		if number := answers[c.Credential.Text().Reveal()]; number != 0 {
			return refuse(number)(c)
		}
		return nil
	}
	return st
}

// by is the secret that the token was issued for.
func (st *stage) by(t *testing.T) string {
	t.Helper()
	g, err := st.token(t.Context())
	if err != nil {
		return err.Error()
	}
	first, _, _ := strings.Cut(g.AccessToken.Reveal(), " ")
	return first
}

func (st *stage) actions(t *testing.T) (actions []trail.Action) {
	t.Helper()
	events, _, err := st.Events(t.Context(), orgA, slug, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		actions = append(actions, e.Action)
	}
	return actions
}

// TestGrantSaysHowItCame: from memory or not, by the current secret or by the previous one.
func TestGrantSaysHowItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := rotated(t, map[string]int{"next-secret": 7000222})
		for _, cached := range []bool{false, true} {
			if g, err := st.token(t.Context()); err != nil || g.Cached != cached || !g.Previous {
				t.Errorf("by the previous secret: %+v, %v", g, err)
			}
		}
		time.Sleep(31 * time.Second) // the current one is asked again, in vain
		if g, err := st.token(t.Context()); err != nil || g.Cached || !g.Previous {
			t.Errorf("by the previous secret, after asking: %+v, %v", g, err)
		}
		st.source.answer = nil
		time.Sleep(31 * time.Second) // the refusal is forgotten
		for _, cached := range []bool{false, true} {
			if g, err := st.token(t.Context()); err != nil || g.Cached != cached || g.Previous {
				t.Errorf("by the current secret: %+v, %v", g, err)
			}
		}
	})
}

// TestFallBackExpired: a new secret that Entra calls expired leaves the old one in use, for the
// grace period and no longer.
func TestFallBackExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := rotated(t, map[string]int{"next-secret": 7000222})
		time.Sleep(time.Hour)
		if got := st.by(t); got != "the-secret" {
			t.Fatalf("the token is by %q", got)
		}
		l, err := st.Get(t.Context(), orgA, slug)
		if err != nil || l.Secret.FellBackAt.IsZero() || l.Status(time.Now()) != condition.Expired {
			t.Errorf("the row says %+v, %v", l.Secret, err)
		}
		if !slices.Contains(st.actions(t), trail.FellBack) {
			t.Errorf("the trail has %v", st.actions(t))
		}
		time.Sleep(6*24*time.Hour + 22*time.Hour)
		if got := st.by(t); got != "the-secret" {
			t.Errorf("near the end of the grace period the token is by %q", got)
		}
		time.Sleep(2 * time.Hour)
		var refused *tokens.Refused
		if _, err := st.token(t.Context()); !errors.As(err, &refused) || refused.Code != "aadsts_7000222" {
			t.Errorf("after the grace period: %v", err)
		}
		if _, err := st.Tend(t.Context(), slug); err != nil {
			t.Fatal(err)
		}
		l, _ = st.Get(t.Context(), orgA, slug)
		if enabled := st.vault.Enabled(l.Secret.Name); !slices.Equal(enabled, []string{l.Secret.Version}) || l.Secret.Previous != "" {
			t.Errorf("enabled after the grace period: %v, row %+v", enabled, l.Secret)
		}
	})
}

// TestFallBackSpreading: a new secret that has not reached all of Entra is no fault, and takes
// over as soon as it works.
func TestFallBackSpreading(t *testing.T) {
	for _, number := range []int{7000215, 50012} {
		t.Run(strconv.Itoa(number), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { spreading(t, number) }) })
	}
}

func spreading(t *testing.T, number int) {
	t.Helper()
	answers := map[string]int{"next-secret": number}
	st := rotated(t, answers)
	for range 4 {
		if got := st.by(t); got != "the-secret" {
			t.Fatalf("while it spreads the token is by %q", got)
		}
		if got := st.status(t); got != condition.Active {
			t.Fatalf("while it spreads the link is %s", got)
		}
		time.Sleep(25 * time.Second)
	}
	delete(answers, "next-secret")
	time.Sleep(31 * time.Second)
	if got := st.by(t); got != "next-secret" {
		t.Errorf("then the token is by %q", got)
	}
	if l, _ := st.Get(t.Context(), orgA, slug); !l.Secret.FellBackAt.IsZero() || l.Status(time.Now()) != condition.Active {
		t.Errorf("then the row says %+v", l.Secret)
	}
}

// TestFallBackGoesOn: one that never spreads leaves the old one in use, and the link is broken.
func TestFallBackGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := rotated(t, map[string]int{"next-secret": 7000215})
		if got := st.by(t); got != "the-secret" {
			t.Fatalf("the token is by %q", got)
		}
		time.Sleep(24 * time.Hour)
		if got, status := st.by(t), st.status(t); got != "the-secret" || status != condition.Broken {
			t.Errorf("a day later the token is by %q, the link is %s", got, status)
		}
	})
}

// TestNoFallBack: what was once accepted and is refused later was taken away on purpose; and a
// secret of another application never stands in.
func TestNoFallBack(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *stage, map[string]int){
		"removed later": func(t *testing.T, st *stage, answers map[string]int) {
			time.Sleep(3 * time.Minute)
			answers["next-secret"] = 7000215
		},
		"another reason":    func(t *testing.T, st *stage, answers map[string]int) { answers["next-secret"] = 700016 },
		"another assertion": func(t *testing.T, st *stage, answers map[string]int) { answers["next-secret"] = 500133 },
		"another application": func(t *testing.T, st *stage, answers map[string]int) {
			other := "44444444-4444-4444-8444-444444444444"
			_, err := st.Patch(t.Context(), orgA, slug, "*", intake.Patch{ClientID: &other, ClientSecret: secret.New("other-secret")})
			if err != nil {
				t.Fatal(err)
			}
			answers["other-secret"] = 7000222
			l, _ := st.Get(t.Context(), orgA, slug)
			if enabled := st.vault.Enabled(l.Secret.Name); !slices.Equal(enabled, []string{l.Secret.Version}) {
				t.Errorf("enabled: %v", enabled)
			}
		},
		"both refused": func(t *testing.T, st *stage, answers map[string]int) {
			answers["next-secret"], answers["the-secret"] = 7000222, 7000222
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := map[string]int{}
				st := rotated(t, answers)
				prepare(t, st, answers)
				var refused *tokens.Refused
				if g, err := st.token(t.Context()); !errors.As(err, &refused) {
					t.Errorf("%v, %v", g.Scope, err)
				}
				if l, _ := st.Get(t.Context(), orgA, slug); !l.Secret.FellBackAt.IsZero() {
					t.Errorf("the row says that the previous secret stands in since %v", l.Secret.FellBackAt)
				}
			})
		})
	}
}

// TestFallBackCrowd: with both secrets' answers remembered, a crowd costs what it did before.
func TestFallBackCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := rotated(t, map[string]int{"next-secret": 7000222})
		before := st.source.calls.Load()
		for range 2 {
			if err := errors.Join(st.everybody(t.Context())...); err != nil {
				t.Fatal(err)
			}
		}
		if n := st.source.calls.Load() - before; n != 2 {
			t.Errorf("%d token requests, want one by each secret", n)
		}
	})
}
