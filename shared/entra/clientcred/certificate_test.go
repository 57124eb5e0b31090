package clientcred_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/secret"
)

// selfSigned returns a certificate, and the PEM text of the certificate and its key.
func selfSigned(t *testing.T) (*x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return c, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// TestCertificate signs with the real azidentity; the authority verifies the signature.
func TestCertificate(t *testing.T) {
	registered, text := selfSigned(t)
	_, other := selfSigned(t)
	f := newFixture(t)
	f.Set(entratest.Tenant{
		ID: tenant, Name: "Contoso", Knows: func(r string) bool { return r == audience },
		Apps: []entratest.App{{ClientID: client, ObjectID: object, Certificates: []*x509.Certificate{registered}}},
	})
	c := f.credentials()
	c.Credential = credential.Certificate{PEM: secret.New(text)}
	token, err := f.source.Token(t.Context(), c, scope)
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := f.Check(token.Access.Reveal()); err != nil || claims.AppID != client {
		t.Errorf("claims %+v, %v", claims, err)
	}

	c.Credential = credential.Certificate{PEM: secret.New(other)}
	_, err = f.source.Token(t.Context(), c, scope)
	var refusal *entra.Refusal
	if !errors.As(err, &refusal) || refusal.Number != 700027 || refusal.Class() != entra.Config || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("a certificate that is not registered: %v", err)
	}

	c.Credential = credential.Certificate{PEM: secret.New("-----BEGIN CERTIFICATE-----\nbroken")}
	_, err = f.source.Token(t.Context(), c, scope)
	if err == nil || strings.Contains(err.Error(), "broken") {
		t.Errorf("a text that is not a certificate: %v", err)
	}
}
