package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
)

func TestMAC(t *testing.T) {
	s := newFixture(secrettest.New()).Sealer
	id, err := s.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(s *seal.Sealer, use, data string) []byte {
		t.Helper()
		m, err := s.MAC(t.Context(), id, use, []byte(data))
		if err != nil || len(m) != 32 {
			t.Fatalf("%x, %v", m, err)
		}
		return m
	}
	first := mac(s, "use", "data")
	if !bytes.Equal(first, mac(s, "use", "data")) {
		t.Error("it differs from itself")
	}
	elsewhere := *s
	elsewhere.PublicURL = "https://other.example"
	for name, other := range map[string][]byte{"another use": mac(s, "use2", "data"), "other data": mac(s, "use", "data2"), "another deployment": mac(&elsewhere, "use", "data")} {
		if bytes.Equal(first, other) {
			t.Errorf("%s has the same", name)
		}
	}
	if _, err := s.MAC(t.Context(), seal.KeyID{1}, "use", nil); !errors.Is(err, seal.ErrInvalid) {
		t.Errorf("an unknown key: %v", err)
	}
}
