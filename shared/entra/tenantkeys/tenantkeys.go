package tenantkeys

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/flight"
	"fhirlink/shared/paste"
)

const (
	fresh   = time.Hour   // no set is fetched again before
	pause   = time.Minute // after a failure
	timeout = 5 * time.Second
	maxSet  = 512 << 10 // bytes
	maxSets = 1000
	minBits = 2048
)

// Keys keeps the sets of keys. While an authority does not answer, its last set goes on serving.
type Keys struct {
	client *http.Client
	now    func() time.Time
	known  *lru.Cache[string, *set] // by address
}

// New makes one. It follows no redirects.
func New(client *http.Client, now func() time.Time) *Keys {
	known, err := lru.New[string, *set](maxSets)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	strict := *client
	strict.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Keys{&strict, now, known}
}

type set struct {
	flights flight.Group[[]jose.JSONWebKey]

	mu   sync.Mutex
	keys []jose.JSONWebKey
	next time.Time // when it is fetched again
}

var applicationURI = paste.MustCompile(`^(?:api://)?([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})/?$`)

// Of returns the RSA keys of a tenant with which Entra signs tokens for a resource: those of the resource's
// application, if the resource names it, as policies that map claims make them
// (https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signature), else the tenant's. They
// are at most an hour old while Entra answers; none if it never did.
func (k *Keys) Of(ctx context.Context, authority, tenantID, resource string) []jose.JSONWebKey {
	address := strings.TrimRight(authority, "/") + "/" + tenantID + "/discovery/v2.0/keys"
	if m := applicationURI.FindStringSubmatch(resource); m != nil {
		address += "?" + url.Values{"appid": {strings.ToLower(m[1])}}.Encode()
	}
	at, ok := k.known.Get(address)
	if !ok {
		at = &set{}
		if known, ok, _ := k.known.PeekOrAdd(address, at); ok {
			at = known
		}
	}
	if keys, due := at.look(k.now()); !due {
		return keys
	}
	keys, err := at.flights.Do(ctx, "", timeout, func(ctx context.Context) ([]jose.JSONWebKey, error) {
		if keys, due := at.look(k.now()); !due {
			return keys, nil
		}
		keys, err := k.fetch(ctx, address)
		at.mu.Lock()
		defer at.mu.Unlock()
		if err != nil {
			at.next = k.now().Add(pause)
			return at.keys, nil
		}
		at.keys, at.next = keys, k.now().Add(fresh)
		return keys, nil
	})
	if err != nil { // the caller has gone
		return nil
	}
	return keys
}

func (at *set) look(now time.Time) (keys []jose.JSONWebKey, due bool) {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.keys, !now.Before(at.next)
}

func (k *Keys) fetch(ctx context.Context, address string) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxSet))
	if err != nil {
		return nil, err
	}
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &published); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the keys of the tenant were answered with status %d", response.StatusCode)
	}
	var keys []jose.JSONWebKey
	for _, raw := range published.Keys {
		var one jose.JSONWebKey
		if one.UnmarshalJSON(raw) != nil { // another kind of key
			continue
		}
		if public, ok := one.Key.(*rsa.PublicKey); ok && one.KeyID != "" && (one.Use == "" || one.Use == "sig") && public.N.BitLen() >= minBits {
			keys = append(keys, jose.JSONWebKey{Key: public, KeyID: one.KeyID, Algorithm: string(jose.RS256), Use: "sig"})
		}
	}
	if keys == nil {
		return nil, errors.New("the tenant publishes no key")
	}
	return keys, nil
}
