package tokens_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/secret"
)

// TestCredentialKind: the row states what each version of the secret is, and Entra is asked with
// that, the previous version included.
func TestCredentialKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pem := certificate(t)
		st := newStage(t)
		kinds := func() (now, before credential.Kind) {
			t.Helper()
			l, err := st.links.Get(t.Context(), slug)
			if err != nil {
				t.Fatal(err)
			}
			return l.Secret.Kind, l.Secret.PreviousKind
		}
		if now, before := kinds(); now != credential.KindClientSecret || before != "" {
			t.Errorf("registered: %q, %q", now, before)
		}
		if _, err := st.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientCertificate: pem}); err != nil {
			t.Fatal(err)
		}
		if now, before := kinds(); now != credential.KindCertificate || before != credential.KindClientSecret {
			t.Errorf("a certificate after a secret: %q, %q", now, before)
		}
		var asked []string
		st.source.answer = func(c entra.Credentials) error {
			asked = append(asked, fmt.Sprintf("%T", c.Credential))
			if _, ok := c.Credential.(credential.Certificate); ok {
				return refuse(7000222)(c)
			}
			return nil
		}
		if _, err := st.token(t.Context()); err != nil || fmt.Sprint(asked) != "[credential.Certificate credential.ClientSecret]" {
			t.Errorf("asked with %v, %v", asked, err)
		}

		// A row from before kinds: the text decides.
		if _, err := st.links.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
			l.Secret.Kind, l.Secret.PreviousKind = "", ""
			return l, nil
		}); err != nil {
			t.Fatal(err)
		}
		asked = nil
		time.Sleep(time.Minute)
		if _, err := st.token(t.Context()); err != nil || fmt.Sprint(asked) != "[credential.Certificate credential.ClientSecret]" {
			t.Errorf("a row without kinds: asked with %v, %v", asked, err)
		}

		// A row of a later version is a fault here, and not the credential's.
		if _, err := st.links.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
			l.Secret.Kind = "federated"
			return l, nil
		}); err != nil {
			t.Fatal(err)
		}
		asked = nil
		time.Sleep(time.Minute)
		var refused *tokens.Refused
		if _, err := st.token(t.Context()); err == nil || errors.As(err, &refused) || asked != nil {
			t.Errorf("a kind that is not known: asked with %v, %v", asked, err)
		}
	})
}

// TestRefusedCertificate: a caller is told of the certificate, and not of a client secret that
// the link does not have.
func TestRefusedCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		if _, err := st.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientCertificate: certificate(t)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(48 * time.Hour) // the previous secret no longer stands in
		for _, number := range []int{7000215, 700025} {
			time.Sleep(time.Hour)
			st.source.answer = refuse(number)
			_, err := st.token(t.Context())
			var refused *tokens.Refused
			if !errors.As(err, &refused) || !strings.Contains(refused.Message, "certificate") || strings.Contains(refused.Message+refused.Fix, "client secret") {
				t.Errorf("%d: %+v, %v", number, refused, err)
			}
		}
	})
}

// certificate is a PEM text with a certificate and its key.
func certificate(t *testing.T) secret.Value {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}
