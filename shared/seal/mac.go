package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// Newest returns the id of the key that seals now. The errors are those of [Keys].
func (s *Sealer) Newest(ctx context.Context) (KeyID, error) {
	k, err := s.Keys.newest(ctx)
	return k.id, err
}

// MAC returns 32 bytes that only this deployment can compute from data, with one of its sealing keys, for
// a use. Errors: ErrInvalid for a key that is not known or not enabled, and those of [Keys].
func (s *Sealer) MAC(ctx context.Context, with KeyID, use string, data []byte) ([]byte, error) {
	k, err := s.Keys.find(ctx, with)
	if err != nil {
		return nil, err
	}
	derived, err := hkdf.Key(sha256.New, []byte(k.secret.Reveal()), nil, "fhirlink mac 1 "+s.PublicURL+"\n"+use, keyBytes)
	if err != nil {
		panic(err) // the length is far below HKDF's limit
	}
	mac := hmac.New(sha256.New, derived)
	_, _ = mac.Write(data) // never fails
	return mac.Sum(nil), nil
}
