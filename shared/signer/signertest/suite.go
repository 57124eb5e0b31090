package signertest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/signer"
)

// Run tests a driver against the contract of [signer.Versions]. open returns a key with at least one
// enabled version; Run calls it once for each subtest.
func Run(t *testing.T, open func(*testing.T) signer.Versions) {
	t.Run("every enabled version signs", func(t *testing.T) {
		s := open(t)
		versions, err := s.Versions(t.Context())
		if err != nil || len(versions) == 0 {
			t.Fatalf("%v, %v", versions, err)
		}
		digest := sha256.Sum256([]byte("text"))
		for _, v := range versions {
			signature, err := s.Sign(t.Context(), v.ID, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			if err := rsa.VerifyPKCS1v15(v.Public, crypto.SHA256, digest[:], signature); err != nil {
				t.Errorf("version %s: %v", v.ID, err)
			}
			if v.ID == "" || v.Public.N.BitLen() < 2048 || v.CreatedAt.IsZero() || v.CreatedAt.After(time.Now().Add(time.Minute)) {
				t.Errorf("%+v", v)
			}
		}
	})
	t.Run("is the same when it is read again", func(t *testing.T) {
		s := open(t)
		sorted := func() ([]signer.Version, error) { // they come in any order
			all, err := s.Versions(t.Context())
			slices.SortFunc(all, func(a, b signer.Version) int { return strings.Compare(a.ID, b.ID) })
			return all, err
		}
		first, err := sorted()
		if err != nil {
			t.Fatal(err)
		}
		again, err := sorted()
		if err != nil || len(again) != len(first) || again[0].ID != first[0].ID || !again[0].Public.Equal(first[0].Public) || !again[0].CreatedAt.Equal(first[0].CreatedAt) {
			t.Errorf("%v and %v, %v", first, again, err)
		}
	})
}
