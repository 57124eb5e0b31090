package sandbox

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/egress"
	"fhirlink/shared/fhir"
)

func start(t *testing.T) (*Sandbox, *http.Client) {
	t.Helper()
	s, err := New(newSink(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	pool := x509.NewCertPool()
	s.Trust(pool)
	return s, egress.NewClient(egress.Options{Intercept: s.Intercept, RootCAs: pool})
}

func get(t *testing.T, client *http.Client, address, token string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// A token of the sandbox's authority opens the sandbox's FHIR server, through the guarded client
// for real servers.
func TestTokenOpensServer(t *testing.T) {
	_, client := start(t)
	response, err := client.PostForm(Authority+TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ClientID}, "client_secret": {Secret},
		"scope": {"https://clinic.fhir.sandbox.test/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&token); err != nil || token.AccessToken == "" {
		t.Fatalf("no token: %d, %v", response.StatusCode, err)
	}
	if r, body := get(t, client, "https://clinic.fhir.sandbox.test/Patient?_summary=count", ""); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", r.StatusCode, body)
	}
	if r, body := get(t, client, "https://clinic.fhir.sandbox.test/Basic/no-such-one", token.AccessToken); r.StatusCode != http.StatusNotFound {
		t.Errorf("with a token: %d %s", r.StatusCode, body)
	}
	if r, _ := get(t, client, "https://readonly.fhir.sandbox.test/Basic/no-such-one", token.AccessToken); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("at another server than the token's audience: %d", r.StatusCode)
	}
}

func TestEveryScenarioIsServed(t *testing.T) {
	s, _ := start(t)
	for _, name := range Scenarios() {
		host := name + "." + fhirDomain
		if !slices.Contains(s.FHIR.Hosts(), host) {
			t.Errorf("there is no server %s", host)
		}
		base, _, mistake := fhir.ParseBaseURL("https://"+host, false)
		if mistake != nil || !Owns(base) || s.Kind(base).Product != fhir.HealthDataServices {
			t.Errorf("%s: %v, owned %v, %+v", host, mistake, Owns(base), s.Kind(base))
		}
	}
}

func TestIntercept(t *testing.T) {
	s, client := start(t)
	for host, ours := range map[string]bool{
		"login.sandbox.test": true, "clinic.fhir.sandbox.test": true, "CLINIC.FHIR.SANDBOX.TEST": true, "nobody.fhir.sandbox.test": true,
		"sandbox.test": false, "login.microsoftonline.com": false, "login.sandbox.test.example.org": false,
		"evilsandbox.test": false, "127.0.0.1": false, "": false,
	} {
		if _, ok := s.Intercept(host); ok != ours {
			t.Errorf("%q: intercepted %v", host, ok)
		}
	}
	var notFound *net.DNSError
	if _, err := client.Get("https://nobody.fhir.sandbox.test/metadata"); !errors.As(err, &notFound) || !notFound.IsNotFound {
		t.Errorf("a server that does not exist: %v", err)
	}
	if _, err := client.Get("https://tls-invalid.fhir.sandbox.test/metadata"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate for another name: %v", err)
	}
	if _, err := client.Get("https://127.0.0.1/"); !errors.Is(err, egress.ErrBlocked) {
		t.Errorf("the guard is not there any more: %v", err)
	}
}

// The sandbox's certification authority cannot vouch for real names.
func TestAuthorityIsLimitedToItsZone(t *testing.T) {
	certificate, root, err := certify(zone, "login.microsoftonline.com")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "login.microsoftonline.com"}); err == nil {
		t.Error("a certificate outside of the zone was accepted")
	}
}

func TestOwnsGoesByTheEndOfTheHost(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://clinic.fhir.sandbox.test":                   true,
		"https://fhir.sandbox.test":                          false,
		"https://clinic.fhir.sandbox.test.example.org":       false,
		"https://ws-clinic.fhir.azurehealthcareapis.com":     false,
		"https://example.org/clinic.fhir.sandbox.test":       false,
		"https://clinicfhir.sandbox.test":                    false,
		"https://deep.clinic.fhir.sandbox.test/with/a/path/": true,
	} {
		base, _, mistake := fhir.ParseBaseURL(raw, false)
		if mistake != nil {
			t.Fatalf("%s: %+v", raw, mistake)
		}
		if Owns(base) != want {
			t.Errorf("%s: %v", raw, !want)
		}
	}
}
