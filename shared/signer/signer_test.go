package signer_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/signer"
	"fhirlink/shared/signer/signertest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// signedBy returns the version that signed, after two libraries have checked the signature by what is
// published.
func signedBy(t *testing.T, s *signer.Signer, v *signertest.Key) string {
	t.Helper()
	token, err := s.Sign(t.Context(), "at+jwt", map[string]any{"iss": "https://links.example.org/api/smart/clinic", "sub": "x<y>"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// As others read our key set: through JSON.
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil || strings.Contains(string(text), `"d"`) {
		t.Fatalf("%s, %v", text, err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(token, func(token *jwt.Token) (any, error) {
		found := set.Key(token.Header["kid"].(string))
		if len(found) != 1 || token.Header["typ"] != "at+jwt" || found[0].Use != "sig" || found[0].Algorithm != "RS256" {
			return nil, errors.New("no key")
		}
		return found[0].Key, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	if err != nil || parsed.Claims.(jwt.MapClaims)["sub"] != "x<y>" {
		t.Fatalf("%v, %v", parsed, err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	versions, err := v.Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range versions {
		if _, err := signed.Verify(one.Public); err == nil {
			return one.ID
		}
	}
	t.Fatal("signed by a version that is not there")
	return ""
}

// TestRotation: a new version is published at once, and signs when everybody has had time to learn of it.
func TestRotation(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	v := &signertest.Key{}
	v.Add("first", now)
	s := signer.New(v, func() time.Time { return now }, quiet)
	published := func() int {
		keys, err := s.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	if v.Reads() != 0 {
		t.Error("the key was read before it was needed")
	}
	if got := signedBy(t, s, v); got != "first" || published() != 1 || v.Reads() != 2 { // one of them is of this test
		t.Errorf("the only version: %s, %d published, %d readings", got, published(), v.Reads())
	}
	now = now.Add(10 * time.Hour)
	v.Add("second", now)
	if got := signedBy(t, s, v); got != "first" || published() != 2 {
		t.Errorf("both are young: %s, %d published", got, published())
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{16 * time.Hour, "first"}, {8 * time.Hour, "first"}, {time.Hour, "second"}, {1000 * time.Hour, "second"}} {
		now = now.Add(step.after)
		if got := signedBy(t, s, v); got != step.want || published() != 2 {
			t.Errorf("after %v more: %s, %d published", step.after, got, published())
		}
	}
	v.Remove("first") // it is disabled
	now = now.Add(2 * time.Hour)
	if got := signedBy(t, s, v); got != "second" || published() != 1 {
		t.Errorf("an old version that was disabled: %s, %d published", got, published())
	}
}

func TestNoKey(t *testing.T) {
	now := time.Now()
	v := &signertest.Key{}
	s := signer.New(v, func() time.Time { return now }, quiet)
	if _, err := s.Keys(t.Context()); !errors.Is(err, signer.ErrNone) {
		t.Error(err)
	}
	if _, err := s.Sign(t.Context(), "JWT", nil); !errors.Is(err, signer.ErrNone) {
		t.Error(err)
	}
	v.Fail(errors.New("canary"))
	now = now.Add(time.Hour)
	if _, err := s.Keys(t.Context()); !errors.Is(err, signer.ErrUnavailable) {
		t.Error(err)
	}
	v.Fail(nil)
	v.Add("first", now)
	now = now.Add(time.Hour)
	signedBy(t, s, v)
	v.Add("second", now.Add(-26*time.Hour))
	now = now.Add(2 * time.Hour)
	if got := signedBy(t, s, v); got != "second" {
		t.Errorf("%s signs", got)
	}
	v.Remove("second") // the one that signs is disabled
	if got := signedBy(t, s, v); got != "first" {
		t.Errorf("%s signs", got)
	}
	v.Fail(errors.New("canary"))
	now = now.Add(2 * time.Hour)
	if _, err := s.Keys(t.Context()); err != nil {
		t.Errorf("keys that are known, while the store is down: %v", err)
	}
	if _, err := s.Sign(t.Context(), "JWT", nil); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	v.Fail(nil)
	v.Remove("first") // every version is disabled
	now = now.Add(time.Minute)
	if _, err := s.Keys(t.Context()); !errors.Is(err, signer.ErrNone) {
		t.Errorf("a key that was disabled is published: %v", err)
	}
}
