package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

const crowd = 10_000

// everybody calls at once and returns the errors.
func (st *stage) everybody(ctx context.Context) []error {
	errs := make([]error, crowd)
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() { _, errs[i] = st.token(ctx) })
	}
	wg.Wait()
	return errs
}

func TestTokenColdCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		if err := errors.Join(st.everybody(t.Context())...); err != nil {
			t.Fatal(err)
		}
		if st.source.calls.Load() != 1 || st.reads.Load() != 1 || st.rows.Load() != 1 {
			t.Errorf("%d callers made %d token requests, %d vault reads and %d table reads, want 1 each", crowd, st.source.calls.Load(), st.reads.Load(), st.rows.Load())
		}
	})
}

// A caller that may have a token may know its scope, and no upstream is asked.
func TestScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, c := range []struct {
			organization string
			operator     bool
		}{{orgA, false}, {orgB, true}} {
			if got, err := st.tokens.Scope(t.Context(), c.organization, c.operator, slug); err != nil || got != server+"/.default" {
				t.Errorf("%+v: %q, %v", c, got, err)
			}
		}
		for _, name := range []string{slug, "no-such-clinic", "NO SLUG"} {
			got, err := st.tokens.Scope(t.Context(), orgB, false, name)
			if wantCode(t, err, problem.LinkNotFound); got != "" {
				t.Errorf("%s: %q", name, got)
			}
		}
		if st.source.calls.Load() != 0 || st.reads.Load() != 0 {
			t.Errorf("%d token requests, %d vault reads, want none", st.source.calls.Load(), st.reads.Load())
		}
	})
}

func TestTokenRefusedCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.source.answer = refuse(7000215)
		for range 3 {
			before := st.source.calls.Load()
			for _, err := range st.everybody(t.Context()) {
				var refused *tokens.Refused
				if !errors.As(err, &refused) || refused.Code != "aadsts_7000215" || refused.Fix == "" {
					t.Fatalf("got %v", err)
				}
			}
			time.Sleep(29 * time.Second)
			_ = st.everybody(t.Context())
			if n := st.source.calls.Load() - before; n != 1 {
				t.Fatalf("%d token requests within 30 s, want 1", n)
			}
			time.Sleep(2 * time.Second)
		}
		if st.reads.Load() != 1 {
			t.Errorf("%d vault reads, want 1: a refused secret is remembered like any other", st.reads.Load())
		}
	})
}

func TestTokenWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		first, err := st.token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if first.Resource != server || first.Scope != server+"/.default" || !strings.HasPrefix(first.AccessToken.Reveal(), "the-secret ") {
			t.Errorf("grant %+v", first)
		}
		time.Sleep(40 * time.Minute)
		again, err := st.token(t.Context())
		if err != nil || again.AccessToken.Reveal() != first.AccessToken.Reveal() {
			t.Errorf("after 40 minutes: %v, another token: %v", err, again.AccessToken.Reveal() != first.AccessToken.Reveal())
		}
		if n := st.source.calls.Load(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
	})
}

// TestTokenRenewal: late in its life a token is still handed out at once while one request
// renews it; when that fails, the old one serves to its end.
func TestTokenRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.source.takes = 3 * time.Second
		first, err := st.token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(58 * time.Minute)
		started := time.Now()
		during, err := st.token(t.Context())
		if err != nil || during.AccessToken.Reveal() != first.AccessToken.Reveal() || time.Since(started) > 0 {
			t.Errorf("while renewing: %v after %v", err, time.Since(started))
		}
		time.Sleep(4 * time.Second)
		renewed, err := st.token(t.Context())
		if err != nil || renewed.AccessToken.Reveal() == first.AccessToken.Reveal() {
			t.Errorf("after the renewal: %v, still the old token: %v", err, renewed.AccessToken.Reveal() == first.AccessToken.Reveal())
		}
		st.source.answer = refuse(7000222)
		time.Sleep(58 * time.Minute)
		if still, err := st.token(t.Context()); err != nil || still.AccessToken.Reveal() != renewed.AccessToken.Reveal() {
			t.Errorf("a refused renewal took the valid token away: %v", err)
		}
		time.Sleep(time.Second * 4)
		if got := st.status(t); got != condition.Expired {
			t.Errorf("status %s after AADSTS7000222 at the renewal, want expired", got)
		}
		time.Sleep(2 * time.Minute)
		var refused *tokens.Refused
		if _, err := st.token(t.Context()); !errors.As(err, &refused) {
			t.Errorf("after the token's end: %v", err)
		}
	})
}

// TestRenewalHasALineOfItsOwn: in the trace of the request that began it, without its calls in
// that request's line, because nobody waits for it.
func TestRenewalHasALineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		var log bytes.Buffer
		st.instance = st.make(called{st.source}, eventlog.New(&log, slog.LevelInfo))
		token := func() *eventlog.Work {
			w := &eventlog.Work{Trace: eventlog.Trace{ID: "the-trace"}}
			if _, err := st.token(eventlog.With(t.Context(), w)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			return w
		}
		if notes := fmt.Sprint(token().Notes()); !strings.Contains(notes, "calls=[entra=1]") || log.Len() > 0 {
			t.Errorf("the first request notes %s, the log has %s", notes, &log)
		}
		time.Sleep(58 * time.Minute)
		if notes := token().Notes(); notes != nil {
			t.Errorf("a request that waited for nothing notes %v", notes)
		}
		if line := log.String(); !strings.Contains(line, `"msg":"token.renewed","link":"good-health-clinic","renewed":true,"calls":{"entra":1}`) || !strings.Contains(line, `"trace":"the-trace"`) {
			t.Errorf("the log has %s", line)
		}
		st.source.answer = refuse(7000222)
		time.Sleep(58 * time.Minute)
		log.Reset()
		token()
		if line := log.String(); !strings.Contains(line, `"renewed":false`) {
			t.Errorf("after a refusal the log has %s", line)
		}
	})
}

// called is a source whose calls are noted, as package upstream does it.
type called struct{ entra.TokenSource }

func (c called) Token(ctx context.Context, credentials entra.Credentials, scope string) (entra.Token, error) {
	eventlog.Current(ctx).Called("entra", time.Millisecond, false)
	return c.TokenSource.Token(ctx, credentials, scope)
}

// TestTokenStatus: what Entra answers to token requests is the re-check of the link.
func TestTokenStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, step := range []struct {
			answer func(entra.Credentials) error
			want   condition.Status
		}{
			{refuse(7000222), condition.Expired},
			{refuse(7000215), condition.Broken},
			{nil, condition.Active},
		} {
			st.source.answer = step.answer
			_, _ = st.token(t.Context())
			if got := st.status(t); got != step.want {
				t.Errorf("status %s, want %s", got, step.want)
			}
			time.Sleep(31 * time.Second)
		}
	})
}

func TestTokenUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, answer := range []error{
			&entra.Unreachable{Reason: "name not found"},
			&entra.Refusal{HTTPStatus: 429, OAuthError: "temporarily_unavailable", RetryAfter: 20 * time.Second},
		} {
			st.source.answer = func(entra.Credentials) error { return answer }
			before := st.source.calls.Load()
			for _, err := range st.everybody(t.Context()) {
				var p *problem.Error
				if !errors.As(err, &p) || p.Code != problem.UpstreamUnavailable || p.RetryAfter <= 0 {
					t.Fatalf("got %v", err)
				}
			}
			if n := st.source.calls.Load() - before; n != 1 {
				t.Errorf("%v: %d token requests, want 1", answer, n)
			}
			time.Sleep(21 * time.Second)
		}
		if got := st.status(t); got != condition.Active {
			t.Errorf("status %s: what passes by itself says nothing about the link", got)
		}
	})
}

// TestTokenDeadline: a caller waits no longer than his own deadline, and his leaving does not
// fail the others.
func TestTokenDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.source.takes = 5 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			started := time.Now()
			if _, err := st.token(ctx); problem.CodeOf(err) != problem.UpstreamUnavailable || time.Since(started) != time.Second {
				t.Errorf("%v after %v", err, time.Since(started))
			}
		})
		wg.Go(func() {
			if _, err := st.token(t.Context()); err != nil {
				t.Errorf("the patient caller: %v", err)
			}
		})
		wg.Wait()
		if n := st.source.calls.Load(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
	})
}

// TestTokenFollowsChanges: another instance follows a new secret and a deletion within 30 s.
func TestTokenFollowsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		other := st.another()
		tokenOf := func() (string, error) {
			g, err := other.Token(t.Context(), orgA, false, slug)
			return g.AccessToken.Reveal(), err
		}
		if got, err := tokenOf(); err != nil || !strings.HasPrefix(got, "the-secret ") {
			t.Fatal(got, err)
		}
		if _, err := st.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientSecret: secret.New("the-next-secret")}); err != nil {
			t.Fatal(err)
		}
		if mine, err := st.token(t.Context()); err != nil || !strings.HasPrefix(mine.AccessToken.Reveal(), "the-next-secret ") {
			t.Errorf("the instance that changed it: %v", err)
		}
		time.Sleep(30 * time.Second)
		if got, err := tokenOf(); err != nil || !strings.HasPrefix(got, "the-next-secret ") {
			t.Errorf("30 s after the change: %q, %v", got, err)
		}
		if err := st.Delete(t.Context(), orgA, slug, "*"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if _, err := tokenOf(); problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("30 s after the deletion: %v", err)
		}
	})
}

// TestTokenWhileTheTableIsDown: rows serve for ten minutes, and not after a read that said
// that the link is gone.
func TestTokenWhileTheTableIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		if _, err := st.token(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.links.Fault = func(string, link.Slug, bool) error { return store.ErrUnavailable }
		time.Sleep(9 * time.Minute)
		if _, err := st.token(t.Context()); err != nil {
			t.Errorf("after 9 minutes: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := st.token(t.Context()); problem.CodeOf(err) != problem.UpstreamUnavailable {
			t.Errorf("after 11 minutes: %v", err)
		}
	})
}

func TestTokenOwnership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		if _, err := st.Token(t.Context(), orgB, false, slug); problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("another organization: %v", err)
		}
		if _, err := st.Token(t.Context(), orgB, true, slug); err != nil {
			t.Errorf("the operator: %v", err)
		}
		for _, bad := range []string{"", "no-such-link", "UPPER", "../x", slug + " "} {
			if _, err := st.Token(t.Context(), orgA, true, bad); problem.CodeOf(err) != problem.LinkNotFound {
				t.Errorf("slug %q: %v", bad, err)
			}
		}
	})
}

// TestTokenPanic: a panic under a flight is that request's error and not the process's end.
func TestTokenPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.source.answer = func(entra.Credentials) error { panic("boom") }
		if _, err := st.token(t.Context()); err == nil || strings.Contains(err.Error(), "the-secret") {
			t.Errorf("got %v", err)
		}
		st.source.answer = nil
		if _, err := st.token(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
