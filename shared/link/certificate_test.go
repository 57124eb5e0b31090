package link_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// certificate is a PEM text with a certificate that ends on a day, and its key.
func certificate(t *testing.T, key crypto.Signer, ends time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.AddDate(-1, 0, 0), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificate(t *testing.T) {
	key, ends := rsaKey(t), time.Date(2029, 3, 4, 5, 6, 7, 0, time.UTC)
	good := certificate(t, key, ends)
	d := newDesk()
	r := registration("")
	r.ClientCertificate = secret.New(good)
	res, err := d.Register(t.Context(), orgA, r)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Link.Secret.ExpiresOn.String(); got != "2029-03-04" {
		t.Errorf("ends on %s, want the certificate's own date", got)
	}
	if len(res.Notes) == 0 || !strings.Contains(strings.Join(res.Notes, " "), "2029-03-04") {
		t.Errorf("notes %q do not say that the typed date was not taken", res.Notes)
	}
	if d.asked[0].Credential.(credential.Certificate).PEM.Reveal() != good {
		t.Error("another text than the one sent was verified")
	}
	if _, err := d.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientSecret: secret.New("a-secret")}); err != nil {
		t.Errorf("from a certificate to a secret: %v", err)
	}
	if _, err := d.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientCertificate: secret.New(good)}); err != nil {
		t.Errorf("and back: %v", err)
	}

	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := certificate(t, rsaKey(t), ends)
	mixed := good[:strings.Index(good, "-----BEGIN PRIVATE")] + other[strings.Index(other, "-----BEGIN PRIVATE"):]
	for name, c := range map[string]struct{ clientSecret, clientCertificate, code string }{
		"neither":           {"", "", "required"},
		"both":              {"a-secret", good, "secret_and_certificate"},
		"as a secret":       {good, "", "secret_is_certificate"},
		"no PEM":            {"", "hello", "certificate_syntax"},
		"without its key":   {"", good[:strings.Index(good, "-----BEGIN PRIVATE")], "certificate_syntax"},
		"another's key":     {"", mixed, "certificate_syntax"},
		"an elliptic curve": {"", certificate(t, elliptical, ends), "certificate_not_rsa"},
		"ended":             {"", certificate(t, key, d.now.AddDate(0, 0, -1)), "expiry_past"},
		"too long":          {"", good + strings.Repeat("\n", 1<<14), "certificate_too_long"},
	} {
		r := registration(c.clientSecret)
		r.ClientCertificate = secret.New(c.clientCertificate)
		_, err := newDesk().Register(t.Context(), orgA, r)
		if p := wantCode(t, err, problem.InvalidFields); len(p.Fields) != 1 || p.Fields[0].Code != c.code {
			t.Errorf("%s: %+v", name, p.Fields)
		}
	}
}
