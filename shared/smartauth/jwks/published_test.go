package jwks_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/egress"
	"fhirlink/shared/smartauth/jwks"
)

const uri = "https://app.example/keys"

// answers is a transport.
type answers func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func find(ctx context.Context, p *jwks.Published, uri string) error {
	_, err := p.Find(ctx, uri, "rsa", jose.RS384)
	return err
}

// reason is why a set cannot be fetched; empty: another error, or none.
func reason(err error) string {
	var unreachable *jwks.Unreachable
	if errors.As(err, &unreachable) {
		return unreachable.Reason
	}
	return ""
}

// TestRedirects: a publisher cannot send us elsewhere, whatever the policy of the client.
func TestRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var asked atomic.Int64
		follows := &http.Client{Transport: answers(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			if r.URL.String() != uri {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"keys":[]}`))}, nil
			}
			return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://inside.example/keys"}}, Body: http.NoBody}, nil
		})}
		err := find(t.Context(), jwks.NewPublished(follows, time.Now), uri)
		if !strings.Contains(reason(err), "instead of 200") || asked.Load() != 1 {
			t.Errorf("%d: %v after %d requests", status, err, asked.Load())
		}
		if follows.CheckRedirect != nil {
			t.Error("the caller's client was changed")
		}
	}
}

// TestSlow: a publisher that does not answer, or not in full, holds nobody up for longer than five seconds, and a caller
// that leaves is not held up at all.
func TestSlow(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		want   string
	}{
		"no answer": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, "was not answered in time"},
		"no end": {func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(drip{r.Context()})}, nil
		}, "was not answered in full"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, began := jwks.NewPublished(&http.Client{Transport: answers(tt.answer)}, time.Now), time.Now()
				leaves, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := find(leaves, p, uri); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
					t.Errorf("who leaves: %v after %v", err, time.Since(began))
				}
				if err := find(t.Context(), p, uri); reason(err) != tt.want || time.Since(began) > 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// drip is a body of which a byte comes every second, as long as somebody waits for it.
type drip struct{ ctx context.Context }

// Read implements [io.Reader].
func (d drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

// TestBlocked: what the guard refuses is not asked, and the error has no address.
func TestBlocked(t *testing.T) {
	p := jwks.NewPublished(egress.NewClient(egress.Options{}), time.Now)
	for _, address := range []string{"https://127.0.0.1/keys", "https://10.0.0.1/keys", "https://[::1]/keys", "https://169.254.169.254/keys", "https://8.8.8.8:8443/keys"} {
		err := find(t.Context(), p, address)
		if !strings.Contains(reason(err), "may not reach") || strings.Contains(err.Error(), "://") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
