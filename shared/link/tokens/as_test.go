package tokens_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// as acts as the application of the stage's link. refused are the numbers with which each secret is refused.
func (st *stage) as(t *testing.T, refused map[string]error) (tried []string, err error) {
	t.Helper()
	l, err := st.Get(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	err = st.tokens.As(t.Context(), l, func(_ context.Context, c entra.Credentials) error {
		value := c.Credential.Text().Reveal()
		tried = append(tried, value)
		return refused[value]
	})
	return tried, err
}

func refusal(oauth string, number int) error {
	return &entra.Refusal{HTTPStatus: 400, OAuthError: oauth, Number: number}
}

// TestAs: a link's application acts with its current secret, which is remembered; where Entra refuses that,
// the previous one stands in as for tokens, and the link's status says so. What Entra says of a user changes
// nothing.
func TestAs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for range 3 {
			if tried, err := st.as(t, nil); err != nil || !slices.Equal(tried, []string{"the-secret"}) {
				t.Fatalf("%q, %v", tried, err)
			}
		}
		if n := st.reads.Load(); n != 1 {
			t.Errorf("the vault was read %d times", n)
		}
		for name, of := range map[string]error{
			"a disabled user":   refusal("invalid_grant", 50057),
			"consent is gone":   refusal("invalid_grant", 65001),
			"throttled":         &entra.Refusal{HTTPStatus: 429, OAuthError: "temporarily_unavailable"},
			"nobody answers":    &entra.Unreachable{Reason: "x"},
			"something of ours": errors.New("x"),
		} {
			if tried, err := st.as(t, map[string]error{"the-secret": of}); !errors.Is(err, of) || len(tried) != 1 || st.status(t) != condition.Active {
				t.Errorf("%s: %q, %v, %s", name, tried, err, st.status(t))
			}
		}
		expired := refusal("invalid_client", 7000222)
		if _, err := st.as(t, map[string]error{"the-secret": expired}); !errors.Is(err, expired) || st.status(t) != condition.Expired {
			t.Errorf("an expired secret: %v, %s", err, st.status(t))
		}

		st = rotated(t, nil)
		tried, err := st.as(t, map[string]error{"next-secret": expired})
		if err != nil || !slices.Equal(tried, []string{"next-secret", "the-secret"}) || !slices.Contains(st.actions(t), trail.FellBack) {
			t.Errorf("the previous secret does not stand in: %q, %v, %v", tried, err, st.actions(t))
		}
		user := refusal("invalid_grant", 50057)
		if _, err := st.as(t, map[string]error{"next-secret": expired, "the-secret": user}); !errors.Is(err, user) {
			t.Errorf("what Entra says of the user by the previous secret: %v", err)
		}
		if _, err := st.as(t, map[string]error{"next-secret": expired, "the-secret": refusal("invalid_client", 7000215)}); !errors.Is(err, expired) {
			t.Errorf("neither is good: %v", err)
		}
		time.Sleep(11 * time.Minute) // nothing is remembered any more
		st.vault.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
		if _, err := st.as(t, nil); problem.CodeOf(err) != problem.UpstreamUnavailable {
			t.Errorf("without the vault: %v", err)
		}
	})
}
