package entra

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	keysFresh   = time.Hour       // older sets are fetched again in the background
	keysStale   = 24 * time.Hour  // older sets are not used
	keysPause   = 5 * time.Second // after a failed fetch, until the next one
	keysTimeout = 5 * time.Second
	maxKeys     = 512 << 10 // bytes of a key set; Entra's has about 20 kB
	minKeyBits  = 2048      // RFC 7518 §3.3
)

var errUnknownKey = errors.New("the authority publishes no such key")

// signingKey is one RSA key of a JWK Set (RFC 7517) with the issuer that Entra writes beside it.
type signingKey struct {
	public *rsa.PublicKey
	issuer string // may contain {tenantid}; empty: any
}

// signs reports whether the key may sign for iss, a token's issuer in the tenant tid.
func (k signingKey) signs(iss, tid string) bool {
	return k.issuer == "" || strings.ReplaceAll(k.issuer, "{tenantid}", tid) == iss
}

// keySet is the authority's published keys, fetched when they are first needed. It is our own
// because no library found keeps the issuer that Entra writes beside a key, which is what stops
// one tenant's key from signing for another's issuer, and because keyfunc fetches in its
// constructor and refetches for an unknown key under the time-out of its rate limit.
type keySet struct {
	url     string
	client  *http.Client
	now     func() time.Time
	unknown *rate.Limiter // limits the fetches that unknown key ids cause
	flight  singleflight.Group

	mu       sync.Mutex
	keys     map[string]signingKey
	fetched  time.Time // zero: never
	failure  *Unreachable
	failedAt time.Time
}

// find returns the key with the id. Errors: errUnknownKey, or *Unreachable when the keys cannot
// be fetched.
func (s *keySet) find(ctx context.Context, kid string) (signingKey, error) {
	key, known, age := s.look(kid)
	switch {
	case known && age < keysFresh:
		return key, nil
	case known && age < keysStale:
		s.refresh(ctx)
		return key, nil
	case age < keysStale && !s.unknown.AllowN(s.now(), 1):
		return signingKey{}, errUnknownKey
	}
	select {
	case done := <-s.refresh(ctx):
		if done.Err != nil {
			return signingKey{}, done.Err
		}
	case <-ctx.Done():
		return signingKey{}, NotReached(ctx, nil)
	}
	if key, known, _ = s.look(kid); !known {
		return signingKey{}, errUnknownKey
	}
	return key, nil
}

func (s *keySet) look(kid string) (key signingKey, known bool, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, known = s.keys[kid]
	return key, known, s.now().Sub(s.fetched)
}

// refresh fetches the keys once for all callers that wait. Cancelling the context of one of them
// does not cancel the fetch.
func (s *keySet) refresh(ctx context.Context) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return s.flight.DoChan("keys", func() (_ any, err error) {
		defer func() {
			if recover() != nil { // an unrecovered panic in singleflight ends the process
				err = &Unreachable{Reason: "its keys cannot be read"}
			}
		}()
		if err := s.recentFailure(); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, keysTimeout)
		defer cancel()
		keys, failure := s.fetch(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if failure != nil {
			s.failure, s.failedAt = failure, s.now()
			return nil, failure
		}
		s.keys, s.fetched, s.failure = keys, s.now(), nil
		return nil, nil
	})
}

func (s *keySet) recentFailure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil && s.now().Sub(s.failedAt) < keysPause {
		return s.failure
	}
	return nil
}

func (s *keySet) fetch(ctx context.Context) (map[string]signingKey, *Unreachable) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, NotReached(ctx, err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, NotReached(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeys))
	if err != nil {
		return nil, NotReached(ctx, err)
	}
	keys := parseKeys(body)
	if response.StatusCode != http.StatusOK || len(keys) == 0 {
		return nil, NotUsable(response.StatusCode, body)
	}
	return keys, nil
}

// parseKeys reads the RSA signing keys of a JWK Set. It skips a key that cannot be used, so that
// one such key does not disable all the others.
func parseKeys(body []byte) map[string]signingKey {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil
	}
	keys := map[string]signingKey{}
	for _, raw := range set.Keys {
		maps.Copy(keys, parseKey(raw))
	}
	return keys
}

// parseKey returns the key under its id, or an empty map if the key cannot be used.
func parseKey(raw []byte) map[string]signingKey {
	var jwk struct{ Kty, Use, Alg, Kid, N, E, Issuer string }
	if json.Unmarshal(raw, &jwk) != nil || jwk.Kty != "RSA" || jwk.Kid == "" ||
		jwk.Use != "" && jwk.Use != "sig" || jwk.Alg != "" && jwk.Alg != "RS256" {
		return nil
	}
	n, e := unsigned(jwk.N), unsigned(jwk.E)
	if n.BitLen() < minKeyBits || n.BitLen() > 4*minKeyBits || !e.IsInt64() || e.Int64() < 3 || e.BitLen() > 31 {
		return nil
	}
	return map[string]signingKey{jwk.Kid: {&rsa.PublicKey{N: n, E: int(e.Int64())}, jwk.Issuer}}
}

// unsigned decodes the base64url form of a big-endian number (RFC 7518 §2). It returns 0 for
// invalid text.
func unsigned(text string) *big.Int {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return new(big.Int)
	}
	return new(big.Int).SetBytes(data)
}
