package cmd_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/config"
	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// registration returns the registration of an administrator who enters the five fields.
func registration(url string) intake.Registration {
	return intake.Registration{
		Slug: slug, Description: "Good Health Clinic", FHIRServerURL: url, ClientID: cloudtest.ClientID,
		ClientSecret: secret.New(cloudtest.Secret), SecretExpiresOn: time.Now().AddDate(0, 6, 0).Format(time.DateOnly),
	}
}

// register registers a link, and wants it to succeed.
func register(t *testing.T, s *link.Service, r intake.Registration) link.Result {
	t.Helper()
	result, err := s.Register(t.Context(), tenant, r)
	if err != nil {
		t.Fatalf("%v\n%+v", err, failedCheck(err))
	}
	return result
}

// refuses wants the registration to fail with the code, and returns the check.
func refuses(t *testing.T, s *link.Service, r intake.Registration, code string) verification.Check {
	t.Helper()
	_, err := s.Register(t.Context(), tenant, r)
	c := failedCheck(err)
	if c.Code != code {
		t.Fatalf("%v: check %+v, want %s", err, c, code)
	}
	return c
}

func failedCheck(err error) verification.Check {
	var p *problem.Error
	if !errors.As(err, &p) {
		return verification.Check{}
	}
	report, _ := p.Report.(verification.Report)
	c, _ := report.Failed()
	return c
}

// US Government needs only the setting of the authority's host.
func TestUSGovernment(t *testing.T) {
	c := newClinics(t, usGovernment)
	s := c.service(t, map[string]string{config.AuthorityHost: "https://login.microsoftonline.us/"})
	result := register(t, s.Service, registration(c.url("clinic")+"/metadata"))
	if l := result.Link; l.Health != condition.Active || l.TenantID != tenant || l.Audience != c.url("clinic") || result.Report.Status != verification.Pass || result.Report.Access != verification.ReadWrite {
		t.Errorf("%+v\n%+v", l, result.Report)
	}
	grant, err := s.tokens.Token(t.Context(), tenant, false, slug)
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := c.entra.Check(grant.AccessToken.Reveal()); err != nil || claims.Audience[0] != c.url("clinic") {
		t.Errorf("the token is for %v: %v", claims.Audience, err)
	}

	wrong := registration(c.url("clinic"))
	wrong.Slug, wrong.ClientSecret = "another-clinic", secret.New("not the one")
	if check := refuses(t, s.Service, wrong, "aadsts_7000215"); !strings.Contains(check.Fix, "https://entra.microsoft.us") || !strings.HasPrefix(check.Evidence.URL, "https://login.microsoftonline.us/") {
		t.Errorf("%+v %+v", check, check.Evidence)
	}
}

// An instance for one cloud refuses a server of the other by name, and sends it nothing.
func TestOtherCloud(t *testing.T) {
	for _, tt := range []struct {
		cloud     microsoftCloud
		authority string
	}{
		{usGovernment, "https://login.microsoftonline.com/"},
		{public, "https://login.microsoftonline.us/"},
	} {
		c := newClinics(t, tt.cloud)
		s := c.service(t, map[string]string{config.AuthorityHost: tt.authority})
		given := registration(c.url("clinic"))
		given.TenantID, given.Audience = tenant, c.url("clinic")
		for _, r := range []intake.Registration{registration(c.url("clinic")), given} {
			if check := refuses(t, s.Service, r, "cloud_unsupported"); !strings.Contains(check.Message, tt.cloud.login) {
				t.Errorf("%s: %s", tt.cloud.login, check.Message)
			}
		}
		if n := c.entra.Discoveries.Load() + c.entra.Tokens.Load(); n != 0 {
			t.Errorf("%s: %d requests to the authority", tt.cloud.login, n)
		}
	}
}

// The administrator's values take precedence over the server's.
func TestOverrides(t *testing.T) {
	c := newClinics(t, public)
	s := c.service(t, nil)
	for _, tt := range []struct {
		scenario, tenantID, audience string
		code                         string // empty: the registration succeeds
	}{
		{"tenant-unknown", "", "", "tenant_unknown"},
		{"tenant-unknown", tenant, "", ""},
		{"tenant-unknown", strings.ToUpper(tenant), "", ""},
		{"tenant-unknown", "99999999-9999-4999-8999-999999999999", "", "aadsts_90002"},
		{"clinic", "99999999-9999-4999-8999-999999999999", "", "tenant_conflict"},
		{"clinic", tenant, c.url("clinic"), ""},
		{"clinic", "", c.url("clinic") + "/", ""},
		{"clinic", "", "https://another.fhir.azurehealthcareapis.com", "fhir_401_audience"},
		{"audience", "", c.url("audience"), "fhir_401_audience"},
		{"audience", "", "https://api." + c.fhir.Domain, ""},
		{"audience", "", "", ""},
	} {
		r := registration(c.url(tt.scenario))
		r.TenantID, r.Audience = tt.tenantID, tt.audience
		if tt.code != "" {
			refuses(t, s.Service, r, tt.code)
			continue
		}
		l := register(t, s.Service, r).Link
		if l.TenantID != tenant || l.Health != condition.Active || strings.HasSuffix(l.Audience, "/") {
			t.Errorf("%+v: %+v", tt, l)
		}
		if err := s.Delete(t.Context(), tenant, slug, "*"); err != nil {
			t.Fatal(err)
		}
	}
}

// A link to the retired product can be moved to its successor under the same slug.
func TestRelinkInPlace(t *testing.T) {
	old, now := newClinics(t, retired), newClinics(t, public)
	first := register(t, old.service(t, nil).Service, registration(old.url("clinic")))
	check := first.Report.Checks[1]
	if check.Code != "product_retired" || check.Status != verification.Warn || !strings.Contains(check.Fix, "PATCH /api/links/") {
		t.Errorf("%+v", check)
	}
	s := now.service(t, nil)
	register(t, s.Service, registration(now.url("readonly")))
	url := now.url("clinic")
	moved, err := s.Patch(t.Context(), tenant, slug, "*", intake.Patch{FHIRServerURL: &url, ClientSecret: secret.New(cloudtest.Secret)})
	if err != nil || moved.Link.FHIRServerURL != url || moved.Link.Audience != url || moved.Link.Slug != slug {
		t.Errorf("%+v, %v", moved.Link, err)
	}
}

// selfSigned returns a certificate, and the PEM text of it and its key.
func selfSigned(t *testing.T, ends time.Time) (*x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: ends}
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

// A certificate is handled like a secret: verified by a signed assertion, kept in the vault, and
// used for tokens. The expiry that is watched is the certificate's own.
func TestClientCertificate(t *testing.T) {
	ends := time.Now().AddDate(0, 3, 0).UTC()
	certificate, text := selfSigned(t, ends)
	_, unregistered := selfSigned(t, ends)
	c := newClinics(t, public, certificate)
	s := c.service(t, nil)

	r := registration(c.url("clinic"))
	r.ClientSecret, r.ClientCertificate = secret.Value{}, secret.New(unregistered)
	if check := refuses(t, s.Service, r, "aadsts_700027"); !strings.Contains(check.Fix, "> Certificates") {
		t.Errorf("%s", check.Fix)
	}

	r.ClientCertificate = secret.New(text)
	result := register(t, s.Service, r)
	if l := result.Link; l.Health != condition.Active || l.Secret.ExpiresOn != date.Of(ends) || result.Report.Status != verification.Pass {
		t.Errorf("%+v\n%+v", l, result.Report)
	}
	held := c.secrets.Entries()
	if v := held[len(held)-1].Versions[0]; v.Value.Reveal() != text || date.Of(v.ExpiresOn) != date.Of(ends) {
		t.Errorf("the vault holds a secret that ends on %v", v.ExpiresOn)
	}
	before := c.entra.Tokens.Load()
	grant, err := s.tokens.Token(t.Context(), tenant, false, slug)
	if err != nil || c.entra.Tokens.Load() != before+1 {
		t.Fatalf("%v", err)
	}
	if claims, err := c.entra.Check(grant.AccessToken.Reveal()); err != nil || claims.AppID != cloudtest.ClientID {
		t.Errorf("%+v, %v", claims, err)
	}

	r.Slug, r.ClientSecret = "another-clinic", secret.New(cloudtest.Secret)
	var p *problem.Error
	if _, err := s.Register(t.Context(), tenant, r); !errors.As(err, &p) || p.Code != problem.InvalidFields {
		t.Errorf("a secret and a certificate: %v", err)
	}
}

// target returns what a program verifies for the registration of a scenario.
func (c *clinics) target(t testing.TB, scenario string) verification.Target {
	t.Helper()
	base, _, mistake := fhir.ParseBaseURL(c.url(scenario), false)
	if mistake != nil {
		t.Fatal(mistake)
	}
	return verification.Target{Server: base, ClientID: cloudtest.ClientID, Credential: credential.ClientSecret{Value: secret.New(cloudtest.Secret)}}
}

// The scenarios that need the most requests, through the real azidentity.
func TestRequests(t *testing.T) {
	c := newClinics(t, public)
	for scenario, want := range map[string]int64{
		"clinic": 6, "readonly": 6, "norole": 5, "audience": 6, "tenant-smart-only": 7, "no-challenge": 6, "metadata-auth-required": 6, "authority-other": 6,
	} {
		c.requests.Store(0)
		r := c.verifier().Verify(context.WithoutCancel(t.Context()), c.target(t, scenario))
		if n := c.requests.Load(); n != want || n > 7 {
			t.Errorf("%s: %d requests, want %d (%s)", scenario, n, want, r.Status)
		}
	}
}
