package clientcred_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/clientcred"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/secret"
)

// remote is an authority without a network, whose clock is the bubble's.
type remote struct {
	*entratest.Authority
	source *clientcred.Source
	t      *testing.T
}

func newRemote(t *testing.T) *remote {
	a := entratest.New(entratest.Tenant{
		ID: tenant, Name: "Contoso", Knows: func(resource string) bool { return resource == audience },
		Apps: []entratest.App{{ClientID: client, ObjectID: object, Secrets: []entratest.Secret{{Value: good}}}},
	})
	a.URL = "https://login.contoso.test/"
	return &remote{a, &clientcred.Source{Client: a.Client()}, t}
}

func (r *remote) token(value string) error {
	_, err := r.source.Token(r.t.Context(), entra.Credentials{
		Authority: r.URL, TenantID: tenant, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(value)},
	}, scope)
	synctest.Wait() // for what is renewed aside
	return err
}

func (r *remote) discoveries(want int64, when string) {
	r.t.Helper()
	if got := r.Discoveries.Load(); got != want {
		r.t.Errorf("%s: %d requests for openid-configuration, want %d", when, got, want)
	}
}

// TestConfigurationIsRemembered for a day: it is renewed aside after half a day, and a failure of that
// does not matter before the day is over.
func TestConfigurationIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t)
		down := false
		r.Before = func(w http.ResponseWriter, request *http.Request) bool {
			if down && request.Method == http.MethodGet {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		}
		for _, step := range []struct {
			after time.Duration
			down  bool
			want  int64
			when  string
		}{
			{0, false, 1, "at first"},
			{11 * time.Hour, true, 1, "after 11 hours"},
			{2 * time.Hour, true, 2, "after 13 hours, when it cannot be fetched"},
			{time.Minute, true, 2, "a minute later"},
			{5 * time.Minute, false, 3, "six minutes later, when it can be fetched"},
			{11 * time.Hour, false, 3, "after 24 hours, 11 after it was renewed"},
		} {
			time.Sleep(step.after)
			down = step.down
			if err := r.token(good); err != nil {
				t.Errorf("%s: %v", step.when, err)
			}
			r.discoveries(step.want, step.when)
		}
		time.Sleep(25 * time.Hour)
		down = true
		if err := r.token(good); err == nil {
			t.Error("25 hours later there was a token without the authority's openid-configuration")
		}
		down = false
		before := r.Discoveries.Load()
		if err := r.token(good); err != nil {
			t.Error(err)
		}
		r.discoveries(before+1, "when the authority is back")
	})
}

// TestConfigurationIsForgotten when there is doubt that the token endpoint is where it was.
func TestConfigurationIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*remote) func(http.ResponseWriter, *http.Request) bool
		again  int64 // requests for openid-configuration afterwards
	}{
		{"wrong secret", func(*remote) func(http.ResponseWriter, *http.Request) bool { return nil }, 0},
		{"unknown resource", func(r *remote) func(http.ResponseWriter, *http.Request) bool {
			return r.Refuse(400, "invalid_resource", 500011, "The resource principal was not found.")
		}, 0},
		{"throttled", func(r *remote) func(http.ResponseWriter, *http.Request) bool { return r.Throttle(60) }, 0},
		{"web page", func(*remote) func(http.ResponseWriter, *http.Request) bool { return entratest.WebPage(200) }, 1},
		{"another token endpoint", func(*remote) func(http.ResponseWriter, *http.Request) bool {
			return entratest.Redirect(307, "https://login.contoso.test/elsewhere")
		}, 1},
		{"no such path", func(*remote) func(http.ResponseWriter, *http.Request) bool {
			return entratest.Answer(404, "text/html", "gone")
		}, 1},
		{"tenant gone", func(r *remote) func(http.ResponseWriter, *http.Request) bool {
			return r.Refuse(400, "invalid_request", 90002, "Tenant not found.")
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote(t)
				if err := r.token(good); err != nil {
					t.Fatal(err)
				}
				r.Before = c.before(r)
				if err := r.token("another"); err == nil {
					t.Fatal("there was a token")
				}
				r.Before = nil
				before := r.Discoveries.Load()
				if err := r.token(good); err != nil {
					t.Fatal(err)
				}
				r.discoveries(before+c.again, "afterwards")
			})
		})
	}
}

// TestUnusableConfiguration is not remembered.
func TestUnusableConfiguration(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"issuer":"https://login.contoso.test/x","authorization_endpoint":"https://login.contoso.test/x"}`,
		`{"issuer":"https://login.contoso.test/x","authorization_endpoint":"https://login.contoso.test/x","token_endpoint":"https://login.evil.test/x"}`,
		`{"issuer":"https://login.contoso.test/x","authorization_endpoint":"https://login.contoso.test/x","token_endpoint":"https://login.contoso.test.evil.test/x"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote(t)
			var lies atomic.Bool
			lies.Store(true)
			r.Before = func(w http.ResponseWriter, request *http.Request) bool {
				if lies.Load() && request.Method == http.MethodGet {
					_, _ = io.WriteString(w, body) // to memory
					return true
				}
				return false
			}
			if err := r.token(good); err == nil {
				t.Errorf("%s gave a token", body)
			}
			lies.Store(false)
			if err := r.token(good); err != nil {
				t.Errorf("after %s: %v", body, err)
			}
			r.discoveries(2, "after an answer that could not be used")
		})
	}
}
