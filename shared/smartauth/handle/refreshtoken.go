package handle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
)

const (
	refreshPrefix = "flr_"
	tokenBytes    = 20 // 160 bits
	macBytes      = 16
	refreshBytes  = len(seal.KeyID{}) + 4 + grantBytes + 4 + tokenBytes + macBytes
)

// RefreshToken is a handle of a grant. Each use of it makes the next one, whose random part follows from
// the one before and a sealing key: whoever repeats a token, at whichever instance, is led to the same
// next one, and nobody else can compute it. The MAC tells a token that was never issued from one that was:
// the first changes nothing, an old one of the second kind kills the grant.
type RefreshToken struct {
	key        seal.KeyID
	grant      Grant
	generation uint32
	random     [tokenBytes]byte
}

// NewRefreshToken is the first one of a grant. The error is that of the sealing keys.
func NewRefreshToken(ctx context.Context, s *seal.Sealer, g Grant) (t RefreshToken, err error) {
	t.grant = g
	_, _ = rand.Read(t.random[:]) // never fails
	t.key, err = s.Newest(ctx)
	return t, err
}

// Grant is what the token is for.
func (t RefreshToken) Grant() Grant { return t.grant }

// Generation is how many tokens of its grant there were before.
func (t RefreshToken) Generation() uint32 { return t.generation }

// plain is the token without its MAC.
func (t RefreshToken) plain() []byte {
	b := append([]byte{}, t.key[:]...)
	b = binary.BigEndian.AppendUint32(b, t.grant.day)
	b = append(b, t.grant.id[:]...)
	b = binary.BigEndian.AppendUint32(b, t.generation)
	return append(b, t.random[:]...)
}

// Text is the token as an app holds it. The error is that of the sealing keys.
func (t RefreshToken) Text(ctx context.Context, s *seal.Sealer) (secret.Value, error) {
	plain := t.plain()
	mac, err := s.MAC(ctx, t.key, "smart refresh token", plain)
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(refreshPrefix + base64.RawURLEncoding.EncodeToString(append(plain, mac[:macBytes]...))), nil
}

// Next is the token that follows. The error is that of the sealing keys.
func (t RefreshToken) Next(ctx context.Context, s *seal.Sealer) (RefreshToken, error) {
	mac, err := s.MAC(ctx, t.key, "smart next refresh token", t.plain())
	t.generation++
	copy(t.random[:], mac)
	return t, err
}

// ErrNoRefreshToken means that a text is no refresh token that this deployment has issued.
var ErrNoRefreshToken = errors.New("not a refresh token that was issued here")

// ReadRefreshToken reads a token. Errors: ErrNoRefreshToken, and those of the sealing keys.
func ReadRefreshToken(ctx context.Context, s *seal.Sealer, text string) (t RefreshToken, err error) {
	encoded, ok := strings.CutPrefix(text, refreshPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(b) != refreshBytes || base64.RawURLEncoding.EncodedLen(len(b)) != len(encoded) { // the decoder skips line ends
		return RefreshToken{}, ErrNoRefreshToken
	}
	plain, mac := b[:refreshBytes-macBytes], b[refreshBytes-macBytes:]
	rest := plain[copy(t.key[:], plain):]
	t.grant.day, rest = binary.BigEndian.Uint32(rest), rest[4:]
	rest = rest[copy(t.grant.id[:], rest):]
	t.generation, rest = binary.BigEndian.Uint32(rest), rest[4:]
	copy(t.random[:], rest)
	want, err := s.MAC(ctx, t.key, "smart refresh token", plain)
	switch {
	case errors.Is(err, seal.ErrInvalid):
		return RefreshToken{}, ErrNoRefreshToken
	case err != nil:
		return RefreshToken{}, err
	case !hmac.Equal(mac, want[:macBytes]):
		return RefreshToken{}, ErrNoRefreshToken
	}
	return t, nil
}
