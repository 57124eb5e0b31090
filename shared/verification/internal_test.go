package verification

import (
	"strings"
	"testing"

	"fhirlink/shared/fhir"
)

func TestParseAuthority(t *testing.T) {
	const id = "11111111-1111-4111-8111-111111111111"
	for uri, want := range map[string]namedAuthority{
		"https://login.microsoftonline.com/" + id:                            {"login.microsoftonline.com", id, ""},
		"https://login.microsoftonline.com/" + id + "/":                      {"login.microsoftonline.com", id, ""},
		"https://login.microsoftonline.com/" + id + "/oauth2/v2.0/token":     {"login.microsoftonline.com", id, ""},
		"https://LOGIN.microsoftonline.com/" + strings.ToUpper(id) + "/v2.0": {"login.microsoftonline.com", id, ""},
		"https://login.microsoftonline.com/common/oauth2/authorize":          {"login.microsoftonline.com", "", "common"},
		"https://login.microsoftonline.com/contoso.onmicrosoft.com":          {"login.microsoftonline.com", "", "contoso.onmicrosoft.com"},
		"https://login.microsoftonline.com":                                  {"login.microsoftonline.com", "", ""},
		"https://login.microsoftonline.com@evil.test/" + id:                  {"evil.test", id, ""},
		"http://login.microsoftonline.com/" + id:                             {"login.microsoftonline.com", id, ""},
		"login.windows.net/" + id:                                            {"login.windows.net", id, ""},
		"http://id.example.com/" + id:                                        {},
		"id.example.com/" + id:                                               {},
		"urn:none":                                                           {},
		"":                                                                   {},
		"https://<script>/":                                                  {},
		"https://a b/":                                                       {},
		"https://[::1]/" + id:                                                {},
	} {
		if got, _ := parseAuthority(uri); got != want {
			t.Errorf("%q gives %+v, want %+v", uri, got, want)
		}
	}
}

func TestWeighSources(t *testing.T) {
	const ours, a, b = "login.microsoftonline.com", "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	tests := []struct {
		name          string
		given         string
		sources       []namedAuthority
		tenant        string
		ignored, code string
	}{
		{"nothing", "", nil, "", "", "tenant_unknown"},
		{"given alone", a, nil, a, "", ""},
		{"found", "", []namedAuthority{{host: ours, tenant: a}}, a, "", ""},
		{"an older name", "", []namedAuthority{{host: "login.windows.net", tenant: a}, {host: "sts.windows.net", tenant: a}}, a, "", ""},
		{"the second source", "", []namedAuthority{{host: ours, tenant: ""}, {host: ours, tenant: a}}, a, "", ""},
		{"agreeing", a, []namedAuthority{{host: ours, tenant: a}, {host: ours, tenant: a}}, a, "", ""},
		{"two tenants", "", []namedAuthority{{host: ours, tenant: a}, {host: ours, tenant: b}}, "", "", "tenant_conflict"},
		{"two tenants, the first confirmed", a, []namedAuthority{{host: ours, tenant: a}, {host: ours, tenant: b}}, a, "", ""},
		{"not the given one", b, []namedAuthority{{host: ours, tenant: a}}, "", "", "tenant_conflict"},
		{"a stranger", "", []namedAuthority{{host: "evil.test", tenant: a}}, "", "", "authority_mismatch"},
		{"a stranger, tenant given", a, []namedAuthority{{host: "evil.test", tenant: a}}, a, "evil.test", ""},
		{"a stranger before another tenant of ours", a, []namedAuthority{{host: "evil.test"}, {host: ours, tenant: b}}, "", "", "tenant_conflict"},
		{"another cloud, tenant given", a, []namedAuthority{{host: "login.microsoftonline.us", tenant: a}}, "", "", "cloud_unsupported"},
		{"a domain", "", []namedAuthority{{host: ours, name: "contoso.com"}}, "", "", "tenant_unknown"},
		{"a stranger behind ours", "", []namedAuthority{{host: ours, tenant: a}, {host: "evil.test", tenant: b}}, a, "evil.test", ""},
		{"another cloud", "", []namedAuthority{{host: "login.microsoftonline.us", tenant: a}}, "", "", "cloud_unsupported"},
		{"a name that looks like ours", "", []namedAuthority{{host: "login.microsoftonline.com.evil.test", tenant: a}}, "", "", "authority_mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &run{Target: Target{TenantID: tt.given}, configured: "https://" + ours + "/", facts: facts{}}
			ignored, code := r.weighSources(tt.sources)
			if ignored != tt.ignored || code != tt.code || code == "" && (r.TenantID != tt.tenant || r.report.TenantID != tt.tenant) {
				t.Errorf("got tenant %q, ignored %q, code %q", r.TenantID, ignored, code)
			}
		})
	}
}

func TestDecideAudience(t *testing.T) {
	base, _, mistake := fhir.ParseBaseURL("https://ws-clinic.fhir.azurehealthcareapis.com", false)
	if mistake != nil {
		t.Fatal(mistake)
	}
	tests := []struct {
		given, resource, realm string
		want, code             string
	}{
		{"", "", "", base.String(), ""},
		{"", base.String(), base.String(), base.String(), ""},
		{"", base.String() + "/", "", base.String(), ""}, // a token for "…//.default" is refused
		{"", "", "https://azurehealthcareapis.com", "https://azurehealthcareapis.com", ""},
		{"", "api://66666666-6666-4666-8666-666666666666", "", "", "audience_foreign"},
		{"", "Clinic FHIR", "", base.String(), ""},
		{"", "https://a b", "", base.String(), ""},
		{"", "https://x.example/?a=b", "", base.String(), ""},
		{"", "00000003-0000-0000-c000-000000000000", "", base.String(), ""},
		{"", "https://graph.microsoft.com", "", "", "audience_foreign"},
		{"", "https://GRAPH.microsoft.com/", "", "", "audience_foreign"},
		{"", "https://vault.azure.net", "", "", "audience_foreign"},
		{"", "https://management.azure.com/", "", "", "audience_foreign"},
		{"https://fhir.example.org", "https://graph.microsoft.com", "", "https://fhir.example.org", ""},
	}
	for _, tt := range tests {
		r := &run{Target: Target{Server: base, Audience: tt.given}, kind: base.Kind(), facts: facts{}}
		code := r.decideAudience(fhir.Challenge{Params: map[string]string{"resource_id": tt.resource, "realm": tt.realm}})
		if code != tt.code || code == "" && (r.Audience != tt.want || r.report.Audience != tt.want) {
			t.Errorf("%+v gives %q, code %q", tt, r.Audience, code)
		}
	}
}

// A malicious server that names a clinic's server as its audience gets no token for it.
func TestCounterfeitServer(t *testing.T) {
	for _, host := range []string{"fhir.azurehealthcareapis-com.evil.example", "fhir.evil.example"} {
		base, _, mistake := fhir.ParseBaseURL("https://"+host, false)
		if mistake != nil {
			t.Fatal(mistake)
		}
		for _, wanted := range []string{"https://ws-clinic.fhir.azurehealthcareapis.com", "https://fhir.otherhospital.example", "api://hr-api", "https://graph.microsoft.com"} {
			r := &run{Target: Target{Server: base}, kind: base.Kind(), facts: facts{}}
			if code := r.decideAudience(fhir.Challenge{Params: map[string]string{"resource_id": wanted}}); code != "audience_foreign" || r.Audience != "" {
				t.Errorf("%s wants a token for %s: code %q, audience %q", host, wanted, code, r.Audience)
			}
		}
		r := &run{Target: Target{Server: base}, kind: base.Kind(), facts: facts{}}
		if code := r.decideAudience(fhir.Challenge{Params: map[string]string{"resource_id": base.String() + "/fhir"}}); code != "" {
			t.Errorf("%s wants a token for itself: code %q", host, code)
		}
	}
}

// parseAuthority returns either an authority with a plain DNS name, or nothing.
func FuzzParseAuthority(f *testing.F) {
	for _, seed := range []string{
		"https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111/oauth2/token", "https://login.microsoftonline.com@evil.test/x",
		"https://[::1]/x", "HTTPS://Login.Microsoftonline.Com", "https://a%2eb/", "https://\x00/", "https:///x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		n, _ := parseAuthority(uri)
		if n == (namedAuthority{}) {
			return
		}
		if !hostName.MatchString(n.host) || n.tenant != "" && !guid.MatchString(n.tenant) {
			t.Fatalf("%q gives %+v", uri, n)
		}
		if again, _ := parseAuthority("https://" + n.host + "/" + n.tenant + n.name); again != n {
			t.Fatalf("%q gives %+v, which reads as %+v", uri, n, again)
		}
	})
}

// The requested scope holds one resource, whatever audience a server names.
func FuzzUsableAudience(f *testing.F) {
	for _, seed := range []string{"https://ws-clinic.fhir.azurehealthcareapis.com/", "api://x/y", "https://a b", "https://graph.microsoft.com/.default openid", "https://x//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := usableAudience(text)
		if strings.ContainsAny(a, " \t\r\n?#\"\\") || strings.HasSuffix(a, "/") || usableAudience(a) != a {
			t.Fatalf("%q gives %q", text, a)
		}
	})
}
