package keyvault_test

import (
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/keyvault/vaulttest"
)

// TestSealingKeys: the sealing keys are versions of a secret in the first vault.
func TestSealingKeys(t *testing.T) {
	p := newPair(t)
	sealer := func() *seal.Sealer {
		return &seal.Sealer{Keys: seal.NewKeys("b/fhirlink-seal", p, nil, slog.New(slog.DiscardHandler)), PublicURL: "https://links.contoso.com"}
	}
	until := time.Now().Add(time.Hour)
	sealed, err := seal.Seal(t.Context(), sealer(), "session", until, "value")
	if err != nil {
		t.Fatal(err)
	}
	other := sealer()
	if got, _, err := seal.Open[string](t.Context(), other, "session", sealed); err != nil || got != "value" {
		t.Errorf("another instance opens %q, %v", got, err)
	}
	if b, a := p.b.Store.Enabled("fhirlink-seal"), p.a.Store.Enabled("fhirlink-seal"); len(b) != 1 || len(a) != 0 {
		t.Errorf("versions %q in the first vault, %q in the second", b, a)
	}
	if n := p.b.Requests.Load(); n != 6 { // list, set, list, get; list, get
		t.Errorf("%d requests", n)
	}
	p.b.Before = vaulttest.Fail(http.StatusForbidden, "Forbidden", "ForbiddenByRbac")
	if _, err := seal.Seal(t.Context(), sealer(), "session", until, "value"); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("a vault that refuses: %v", err)
	}
}
