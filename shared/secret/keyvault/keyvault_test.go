package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"fhirlink/shared/secret"
	"fhirlink/shared/secret/keyvault"
	"fhirlink/shared/secret/keyvault/vaulttest"
	"fhirlink/shared/secret/secrettest"
)

const (
	vaultURL = "https://contoso.vault.azure.net"
	canary   = "canary~8Q.secret"
)

// identity issues tokens for the vault and counts the requests for them.
type identity struct {
	asked atomic.Int64
	fail  error
}

func (i *identity) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.asked.Add(1)
	if i.fail != nil {
		return azcore.AccessToken{}, i.fail
	}
	if len(o.Scopes) != 1 || o.Scopes[0] != "https://vault.azure.net/.default" {
		return azcore.AccessToken{}, fmt.Errorf("asked for %q", o.Scopes)
	}
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// client returns a client that reaches the vault over TLS.
func client(t *testing.T, vault *vaulttest.Server, credential azcore.TokenCredential) *azsecrets.Client {
	t.Helper()
	options := keyvault.ClientOptions()
	options.Transport.(*http.Client).Transport = vault.Start(t).Transport
	client, err := azsecrets.NewClient(vaultURL, credential, options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func overTLS(t *testing.T, vault *vaulttest.Server, credential azcore.TokenCredential) *keyvault.Store {
	t.Helper()
	return keyvault.New(keyvault.Vault{Name: "contoso", Client: client(t, vault, credential)})
}

func TestOverTLS(t *testing.T) {
	secrettest.Run(t, func(t *testing.T) secret.Store {
		return overTLS(t, vaulttest.NewServer(), &identity{})
	})
}

func TestOverFake(t *testing.T) {
	secrettest.Run(t, func(t *testing.T) secret.Store {
		options := keyvault.ClientOptions()
		options.Transport = fakeTransport(secrettest.New())
		client, err := azsecrets.NewClient(vaultURL, &azfake.TokenCredential{}, options)
		if err != nil {
			t.Fatal(err)
		}
		return keyvault.New(keyvault.Vault{Name: "contoso", Client: client})
	})
}

func TestWhatIsWritten(t *testing.T) {
	vault := vaulttest.NewServer()
	store := overTLS(t, vault, &identity{})
	a := secret.Attributes{ExpiresOn: time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC), Slug: "clinic", Organization: "o"}
	version, err := store.Put(t.Context(), "link-a", secret.New(canary), a)
	if err != nil {
		t.Fatal(err)
	}
	held := func() secrettest.Held { return vault.Store.Entries()[0].Versions[0] }
	if h := held(); h.ID != version || h.Attributes != a || h.Value.Reveal() != canary {
		t.Errorf("the vault holds %+v", h)
	}
	b := secret.Attributes{Slug: "clinic-2"} // no date: Key Vault keeps the old one
	if err := store.Update(t.Context(), "link-a", version, true, b); err != nil {
		t.Fatal(err)
	}
	if h := held(); h.Slug != "clinic-2" || h.Organization != "" || !h.ExpiresOn.Equal(a.ExpiresOn) {
		t.Errorf("the vault holds %+v", h)
	}
}

// The first request has no body and is challenged; later requests carry the token.
func TestChallenge(t *testing.T) {
	vault, id := vaulttest.NewServer(), &identity{}
	store := overTLS(t, vault, id)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := store.Put(t.Context(), fmt.Sprint("link-", i), secret.New(canary), secret.Attributes{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if vault.Requests.Load() != 20 || len(vault.Store.Names()) != 20 {
		t.Errorf("%d requests, %d secrets", vault.Requests.Load(), len(vault.Store.Names()))
	}
	challenged, asked := vault.Challenges.Load(), id.asked.Load()
	if _, err := store.Versions(t.Context(), "link-1"); err != nil || vault.Challenges.Load() != challenged || id.asked.Load() != asked {
		t.Errorf("challenged again (%v)", err)
	}
}

// A challenge that names another resource gets no token.
func TestForeignChallenge(t *testing.T) {
	vault, id := vaulttest.NewServer(), &identity{}
	vault.Challenge = strings.ReplaceAll(vault.Challenge, "vault.azure.net", "evil.example")
	_, err := overTLS(t, vault, id).Put(t.Context(), "link-a", secret.New(canary), secret.Attributes{})
	if !errors.Is(err, secret.ErrUnavailable) || vault.Requests.Load() != 0 || id.asked.Load() != 0 {
		t.Errorf("%v after %d requests and %d tokens", err, vault.Requests.Load(), id.asked.Load())
	}
	silent(t, err)
}

func TestErrors(t *testing.T) {
	type operation func(context.Context, *keyvault.Store) error
	get := func(ctx context.Context, s *keyvault.Store) error { _, err := s.Get(ctx, "link-a", "1"); return err }
	put := func(ctx context.Context, s *keyvault.Store) error {
		_, err := s.Put(ctx, "link-a", secret.New(canary), secret.Attributes{})
		return err
	}
	update := func(ctx context.Context, s *keyvault.Store) error {
		return s.Update(ctx, "link-a", "1", false, secret.Attributes{})
	}
	list := func(ctx context.Context, s *keyvault.Store) error { _, err := s.Versions(ctx, "link-a"); return err }
	remove := func(ctx context.Context, s *keyvault.Store) error { return s.Delete(ctx, "link-a") }
	for _, c := range []struct {
		name     string
		do       operation
		before   func(http.ResponseWriter, *http.Request) bool
		want     error
		text     string
		requests int64
	}{
		{"get absent", get, nil, secret.ErrNotFound, "404 SecretNotFound", 1},
		{"get disabled", get, vaulttest.Fail(403, "Forbidden", "SecretDisabled"), secret.ErrNotFound, "403 SecretDisabled", 1},
		{"get without role", get, vaulttest.Fail(403, "Forbidden", "ForbiddenByRbac"), secret.ErrUnavailable, "Key Vault Secrets Officer and network access (403 ForbiddenByRbac)", 1},
		{"get behind a firewall", get, vaulttest.Fail(403, "Forbidden", "ForbiddenByFirewall"), secret.ErrUnavailable, "ForbiddenByFirewall", 1},
		{"get failing", get, vaulttest.Fail(503, "ServiceUnavailable", ""), secret.ErrUnavailable, "503 ServiceUnavailable", 2},
		{"get throttled", get, vaulttest.Throttle(60), secret.ErrUnavailable, "429 Throttled", 1},
		{"get throttled for a moment", get, vaulttest.Throttle(1), secret.ErrUnavailable, "429 Throttled", 2},
		{"get a web page", get, page(200), secret.ErrUnavailable, "", 1},
		{"get a redirect", get, redirect, secret.ErrUnavailable, "307 without a code", 1},
		{"get an empty answer", get, empty, secret.ErrUnavailable, "the answer is incomplete", 1},
		{"put deleted", put, vaulttest.Fail(409, "Conflict", "ObjectIsDeletedButRecoverable"), secret.ErrNameUsed, "409 ObjectIsDeletedButRecoverable", 1},
		{"put being deleted", put, vaulttest.Fail(409, "Conflict", "ObjectIsBeingDeleted"), secret.ErrNameUsed, "409 ObjectIsBeingDeleted", 1},
		{"put failing, once", put, vaulttest.Fail(500, "InternalError", ""), secret.ErrUnavailable, "500 InternalError", 1},
		{"put throttled, once", put, vaulttest.Throttle(0), secret.ErrUnavailable, "429 Throttled", 1},
		{"put malformed", put, vaulttest.Fail(400, "BadParameter", ""), nil, "malformed (400 BadParameter)", 1},
		{"put an empty answer", put, empty, secret.ErrUnavailable, "the answer is incomplete", 1},
		{"put a redirect", put, redirect, secret.ErrUnavailable, "307", 1},
		{"update absent", update, nil, secret.ErrNotFound, "404 SecretNotFound", 1},
		{"update failing", update, vaulttest.Fail(502, "BadGateway", ""), secret.ErrUnavailable, "502", 2},
		{"list failing", list, vaulttest.Fail(500, "<script>", ""), secret.ErrUnavailable, "500 without a code", 2},
		{"delete failing", remove, vaulttest.Fail(503, "ServiceUnavailable", ""), secret.ErrUnavailable, "503", 2},
		{"delete without role", remove, vaulttest.Fail(403, "Forbidden", "ForbiddenByRbac"), secret.ErrUnavailable, "ForbiddenByRbac", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			vault := vaulttest.NewServer()
			vault.Before = c.before
			started := time.Now()
			err := c.do(t.Context(), overTLS(t, vault, &identity{}))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
			for _, other := range []error{secret.ErrNotFound, secret.ErrNameUsed, secret.ErrUnavailable} {
				if !errors.Is(c.want, other) && errors.Is(err, other) {
					t.Errorf("%v is %v too", err, other)
				}
			}
			if n := vault.Requests.Load(); n != c.requests || time.Since(started) > 30*time.Second { // half of the longest Retry-After
				t.Errorf("%d requests in %v, want %d", n, time.Since(started), c.requests)
			}
			silent(t, err)
		})
	}
	for _, before := range []func(http.ResponseWriter, *http.Request) bool{
		vaulttest.Fail(404, "SecretNotFound", ""), vaulttest.Fail(409, "Conflict", "ObjectIsBeingDeleted"),
	} {
		vault := vaulttest.NewServer()
		vault.Before = before
		if err := remove(t.Context(), overTLS(t, vault, &identity{})); err != nil {
			t.Errorf("deleting what is gone: %v", err)
		}
	}
}

func page(status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, "<html>"+canary)
		return true
	}
}

func redirect(w http.ResponseWriter, r *http.Request) bool {
	http.Redirect(w, r, "https://elsewhere.vault.azure.net/", http.StatusTemporaryRedirect)
	return true
}

func empty(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, "{}")
	return true
}

func silent(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("an error holds the secret or an answer: %s", text)
		}
	}
}

// After a lost answer, Put makes no retry, so at most one version exists that no row names. The
// other methods retry and return the right result.
func TestLostAnswers(t *testing.T) {
	var lost string
	var count atomic.Int64
	vault := vaulttest.NewServer()
	vault.Lose = func(r *http.Request) bool { return r.Method == lost && count.Add(1) == 1 }
	store := overTLS(t, vault, &identity{})
	good, err := store.Put(t.Context(), "link-a", secret.New("good"), secret.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	lose := func(method string) {
		count.Store(0)
		vault.Requests.Store(0)
		lost = method
	}
	lose(http.MethodPut)
	if _, err := store.Put(t.Context(), "link-a", secret.New(canary), secret.Attributes{}); !errors.Is(err, secret.ErrUnavailable) || vault.Requests.Load() != 1 {
		t.Errorf("Put = %v after %d requests", err, vault.Requests.Load())
	}
	if n := len(vault.Store.Enabled("link-a")); n != 2 {
		t.Errorf("%d versions", n)
	}
	lose(http.MethodGet)
	if v, err := store.Get(t.Context(), "link-a", good); err != nil || v.Reveal() != "good" {
		t.Errorf("Get = %v", err)
	}
	lose(http.MethodPatch)
	if err := store.Update(t.Context(), "link-a", good, false, secret.Attributes{}); err != nil {
		t.Errorf("Update = %v", err)
	}
	lose(http.MethodDelete)
	if err := store.Delete(t.Context(), "link-a"); err != nil || len(vault.Store.Names()) != 0 {
		t.Errorf("Delete = %v, left %v", err, vault.Store.Names())
	}
}

func TestIdentityFails(t *testing.T) {
	vault := vaulttest.NewServer()
	store := overTLS(t, vault, &identity{fail: errors.New("raw answer of the identity endpoint: " + canary)})
	_, err := store.Get(t.Context(), "link-a", "1")
	if !errors.Is(err, secret.ErrUnavailable) || vault.Requests.Load() != 0 {
		t.Errorf("got %v after %d requests", err, vault.Requests.Load())
	}
	silent(t, err)
}

func TestDeadline(t *testing.T) {
	vault := vaulttest.NewServer()
	vault.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // a return would send an answer
	}
	store := overTLS(t, vault, &identity{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := store.Get(ctx, "link-a", "1")
	if !errors.Is(err, secret.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
}
