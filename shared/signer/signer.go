package signer

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/flight"
)

var (
	// ErrNone means that there is no such key: this deployment is not set up to sign.
	ErrNone = errors.New("there is no signing key")
	// ErrUnavailable means that the key cannot be read or used just now, or is of a kind that cannot
	// sign.
	ErrUnavailable = errors.New("signing key unavailable")
)

// Version is a version of the key that is enabled.
type Version struct {
	ID        string // in the store of keys
	Public    *rsa.PublicKey
	CreatedAt time.Time
}

// Versions is where the signing key is. Errors of both: ErrNone, ErrUnavailable.
type Versions interface {
	// Versions lists the enabled versions, in any order.
	Versions(ctx context.Context) ([]Version, error)
	// Sign signs a SHA-256 digest with a version, by RSASSA-PKCS1-v1_5.
	Sign(ctx context.Context, version string, digest []byte) ([]byte, error)
}

const (
	fresh   = time.Hour
	stale   = 24 * time.Hour
	pause   = 30 * time.Second
	timeout = 10 * time.Second
	wait    = 2 * time.Second
	// spread is how old a version must be to sign beside others: FHIR servers and .NET keep key sets
	// for up to 24 hours.
	spread = 25 * time.Hour
)

// Signer signs with one key. It is read when it is first needed, then hourly; while that fails, versions
// that were read less than a day ago go on signing.
type Signer struct {
	versions Versions
	now      func() time.Time
	kept     flight.Kept[[]key]
}

// key is a version, as it is published.
type key struct {
	Version
	published jose.JSONWebKey
}

// New returns a Signer. It reads nothing. now may be nil.
func New(versions Versions, now func() time.Time, log *slog.Logger) *Signer {
	if now == nil {
		now = time.Now
	}
	s := &Signer{versions: versions, now: now}
	s.kept = flight.Kept[[]key]{Read: func(ctx context.Context) ([]key, error) {
		keys, err := s.read(ctx)
		if err != nil {
			log.WarnContext(ctx, "signer.unread", "cause", err.Error())
		}
		return keys, err
	}, Fresh: fresh, Stale: stale, Pause: pause, Timeout: timeout, Wait: wait, Now: now}
	return s
}

func (s *Signer) read(ctx context.Context) ([]key, error) {
	listed, err := s.versions.Versions(ctx)
	if errors.Is(err, ErrNone) { // an answer, not a failure: a key that was disabled signs nothing more
		listed, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys := make([]key, len(listed))
	for i, v := range listed {
		keys[i] = key{v, publish(v.Public)}
	}
	slices.SortFunc(keys, func(a, b key) int { // newest first; every instance must find the same order
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
	})
	return keys, nil
}

// publish names a public key after itself (RFC 7638), so that its name does not depend on the store.
func publish(public *rsa.PublicKey) jose.JSONWebKey {
	k := jose.JSONWebKey{Key: public, Algorithm: string(jose.RS256), Use: "sig"}
	thumbprint, _ := k.Thumbprint(crypto.SHA256) // of an RSA key it never fails
	k.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return k
}

// Keys are the public keys of everything that this deployment has signed, and may sign soon. Errors:
// ErrNone, ErrUnavailable.
func (s *Signer) Keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	keys, err := s.get(ctx)
	all := make([]jose.JSONWebKey, len(keys))
	for i, k := range keys {
		all[i] = k.published
	}
	return all, err
}

// Sign returns claims as a JSON Web Token of a type ("JWT", "at+jwt"). Errors: ErrNone, ErrUnavailable.
func (s *Signer) Sign(ctx context.Context, typ string, claims any) (string, error) {
	keys, err := s.get(ctx)
	if err != nil {
		return "", err
	}
	text, err := s.sign(ctx, s.signing(keys), typ, claims)
	if err == nil {
		return text, nil
	}
	// The version may have been disabled since the keys were read.
	if newer, read, failed := s.kept.Search(ctx); read && failed == nil && len(newer) > 0 {
		text, err = s.sign(ctx, s.signing(newer), typ, claims)
	}
	return text, unavailable(err)
}

func (s *Signer) sign(ctx context.Context, k key, typ string, claims any) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{string(jose.RS256), k.published.KeyID, typ})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	signature, err := s.versions.Sign(ctx, k.ID, digest[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// signing is the newest version that everybody has had time to learn of, else the oldest one.
func (s *Signer) signing(keys []key) key {
	now := s.now()
	for _, k := range keys {
		if now.Sub(k.CreatedAt) >= spread {
			return k
		}
	}
	return keys[len(keys)-1]
}

func (s *Signer) get(ctx context.Context) ([]key, error) {
	keys, err := s.kept.Get(ctx)
	if err == nil && len(keys) == 0 { // somebody may have made one since
		if err = s.kept.Failure(); err == nil {
			keys, _, err = s.kept.Search(ctx)
		}
	}
	if err == nil && len(keys) == 0 {
		err = ErrNone
	}
	return keys, unavailable(err)
}

func unavailable(err error) error {
	if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
