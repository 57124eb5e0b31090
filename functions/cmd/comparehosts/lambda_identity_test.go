package comparehosts_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// TestLambdaIdentity: the program opens the vault with a federated token in a file, which AWS
// signed, and with a certificate. The other tests use a client secret.
func TestLambdaIdentity(t *testing.T) {
	cloudtest.LinuxOnly(t)
	t.Run("federated token", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		keep(t, file, []byte("canary-aws-token"))
		checkIdentity(t, "AZURE_FEDERATED_TOKEN_FILE="+file, func(assertion string) bool { return assertion == "canary-aws-token" })
	})
	t.Run("certificate", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "certificate.pem")
		key := newCertificate(t, file)
		checkIdentity(t, "AZURE_CLIENT_CERTIFICATE_PATH="+file, func(assertion string) bool {
			_, err := jwt.Parse(assertion, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithSubject(cloudtest.ClientID))
			return err == nil
		})
	})
}

// checkIdentity links a clinic, which writes to the vault.
func checkIdentity(t *testing.T, credential string, proves func(assertion string) bool) {
	t.Helper()
	cloud := cloudtest.Start(t)
	f := startFunctionBy(t, cloud, table(t), credential, func(form url.Values) bool {
		return form.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" && proves(form.Get("client_assertion"))
	})
	body, err := json.Marshal(cloud.Registration("good-health-clinic"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", serveEvents(t, f, urlEvent)+"/api/register", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+cloud.App(cloudtest.Tenant, manager))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated || len(cloud.Vault.Store.Names()) != 1 {
		t.Errorf("register: %s; the vault holds %d secrets", response.Status, len(cloud.Vault.Store.Names()))
	}
	if log := f.stdout.String(); strings.Contains(log, "canary") {
		t.Errorf("a secret was logged:\n%s", log)
	}
}

// newCertificate writes a certificate with its private key.
func newCertificate(t *testing.T, file string) *rsa.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fhirlink"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, file, append(
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})...))
	return &key.PublicKey
}

func keep(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
