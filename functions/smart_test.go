package functions_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/functions"
	"fhirlink/shared/signer"
	"fhirlink/shared/smartauth"
)

const (
	smartSettings = `{"tokens":"fhirlink","server":"firely"}`
	publicApp     = `{"clientId":"growth-chart","name":"Growth Chart","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid","fhirUser","launch/patient","offline_access","patient/*.rs"]}`
	symmetricApp  = `{"clientId":"portal","name":"Portal","type":"symmetric","redirectUris":["https://portal.example/cb"],"scopes":["openid","user/*.rs"]}`
)

var anyTag = http.Header{"If-Match": {"*"}}

// switchOn makes a link an authorization server.
func (r *rig) switchOn(t *testing.T, organization, slug string) answer {
	t.Helper()
	a := r.send(t, request{caller: manager(organization), method: "PUT", target: "/api/links/" + slug + "/smart", body: smartSettings, header: http.Header{"If-None-Match": {"*"}}})
	a.want(t, http.StatusCreated, "")
	return a
}

func TestSMARTSettings(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "clinic")
	of := func(q request) answer {
		q.caller, q.target = manager(orgA), "/api/links/clinic/smart"
		return r.send(t, q)
	}
	of(request{method: "GET"}).want(t, 404, "smart_not_enabled")
	of(request{method: "PUT", body: smartSettings}).want(t, 428, "if_match_required")
	of(request{method: "PUT", body: `{"tokens":"entra","accessTokenSeconds":600}`, header: anyTag}).want(t, 422, "not_with_entra")
	of(request{method: "PUT", body: `{"tokens":"fhirlink","separator":"~"}`, header: anyTag}).want(t, 422, "not_with_fhirlink")
	on := r.switchOn(t, orgA, "clinic")
	var body map[string]any
	if err := json.Unmarshal([]byte(on.body), &body); err != nil {
		t.Fatal(err)
	}
	const issuer = publicURL + "/api/smart/clinic"
	entra, _ := body["entra"].(map[string]any)
	if body["issuer"] != issuer || body["callback"] != issuer+"/callback" || entra["web"] != true || entra["redirectUris"].([]any)[0] != issuer+"/callback" || body["etag"] != on.header.Get("ETag") {
		t.Errorf("%s", on.body)
	}
	if !slices.Equal(keysOf(t, on), []string{"tokens", "server", "serverClientId", "audience", "accessTokenRoles", "compartment", "introspection", "accessTokenSeconds", "fhirBaseUrls", "userClaim", "consent", "picker", "refreshDays", "context", "scopesSupported", "diagnostics", "issuer", "callback", "entra", "snippets", "createdAt", "updatedAt", "etag", "notes"}) {
		t.Errorf("the keys: %q", keysOf(t, on))
	}
	of(request{method: "PUT", body: smartSettings, header: http.Header{"If-None-Match": {"*"}}}).want(t, 412, "changed_meanwhile")
	// What GET answered can be sent back.
	got := of(request{method: "GET"})
	got.want(t, 200, "")
	again := of(request{method: "PUT", body: got.body, header: http.Header{"If-Match": {got.header.Get("ETag")}}})
	again.want(t, 200, "")
	if again.header.Get("ETag") == got.header.Get("ETag") {
		t.Error("the ETag is the same")
	}
	of(request{method: "DELETE"}).want(t, 428, "if_match_required")
	of(request{method: "DELETE", header: http.Header{"If-Match": {got.header.Get("ETag")}}}).want(t, 412, "changed_meanwhile")
	if a := of(request{method: "DELETE", header: anyTag}); a.status != 204 {
		t.Error(a)
	}
	of(request{method: "GET"}).want(t, 404, "smart_not_enabled")

	unknown := newRig(t, func(d *functions.Deps) { d.SMART.PublicURL = "" })
	unknown.register(t, orgA, "clinic")
	unknown.send(t, request{caller: manager(orgA), method: "PUT", target: "/api/links/clinic/smart", body: smartSettings, header: anyTag}).want(t, 422, "smart_not_configured")
	keyless := newRig(t)
	keyless.key.Remove("1")
	keyless.register(t, orgA, "clinic")
	keyless.send(t, request{caller: manager(orgA), method: "PUT", target: "/api/links/clinic/smart", body: smartSettings, header: anyTag}).want(t, 422, "smart_not_configured")
}

// keysOf returns the keys of a JSON object in their order.
func keysOf(t *testing.T, a answer) (keys []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func TestApps(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "clinic")
	of := func(method, path, body string, header http.Header) answer {
		return r.send(t, request{caller: manager(orgA), method: method, target: "/api/links/clinic/apps" + path, body: body, header: header})
	}
	of("POST", "", publicApp, nil).want(t, 404, "smart_not_enabled")
	on := r.switchOn(t, orgA, "clinic")
	r.send(t, request{caller: manager(orgA), method: "PUT", target: "/api/links/clinic/smart", body: on.body, header: anyTag}).want(t, 200, "")
	made := of("POST", "", publicApp, nil)
	made.want(t, 201, "")
	if made.header.Get("Location") != "/api/links/clinic/apps/growth-chart" || made.field(t, "clientSecret") != nil || made.field(t, "etag") != made.header.Get("ETag") {
		t.Errorf("%v %s", made.header, made.body)
	}
	if want := []string{"clientId", "name", "type", "redirectUris", "scopes", "grants", "pkce", "authorizationResponseIss", "introspect", "enabled", "createdAt", "updatedAt", "etag", "notes"}; !slices.Equal(keysOf(t, made), want) {
		t.Errorf("%q", keysOf(t, made))
	}
	of("POST", "", publicApp, nil).want(t, 409, "app_exists")
	keyed := of("POST", "", symmetricApp, nil)
	keyed.want(t, 201, "")
	first, _ := keyed.field(t, "clientSecret").(string)
	if !strings.HasPrefix(first, "fls_") || len(first) != 47 {
		t.Error("the client secret has another form")
	}
	of("POST", "", `{"name":"x","type":"asymmetric","redirectUris":["https://a.example/"],"scopes":["openid"]}`, nil).want(t, 422, "invalid_fields")
	of("POST", "", `{"name":"x","type":"symmetric","redirectUris":["https://a.example/"],"scopes":["system/*.rs"]}`, nil).want(t, 422, "backend_needs_asymmetric")
	if a := r.send(t, request{caller: manager(orgA), method: "GET", target: "/api/links/clinic/smart"}); !slices.Contains(a.field(t, "scopesSupported").([]any), any("user/*.rs")) {
		t.Errorf("what GET answered was sent back, and no longer follows the apps: %s", a.body)
	}
	page := of("GET", "?limit=1", "", nil)
	page.want(t, 200, "")
	next, _ := page.field(t, "continue").(string)
	if rest := of("GET", "?continue="+next, "", nil); !strings.Contains(page.body, `"growth-chart"`) || !strings.Contains(rest.body, `"portal"`) || strings.Contains(rest.body, `"growth-chart"`) || rest.field(t, "continue") != "" {
		t.Errorf("%s\n%s", page.body, rest.body)
	}
	of("GET", "?limit=0&continue=x&continue=y", "", nil).want(t, 422, "invalid_fields")
	of("GET", "/none", "", nil).want(t, 404, "app_not_found")
	of("PATCH", "/portal", `{"name":"Other"}`, nil).want(t, 428, "if_match_required")
	changed := of("PATCH", "/portal", `{"name":"Other"}`, http.Header{"If-Match": {keyed.header.Get("ETag")}})
	changed.want(t, 200, "")
	of("PATCH", "/portal", `{"name":"Third"}`, http.Header{"If-Match": {keyed.header.Get("ETag")}}).want(t, 412, "changed_meanwhile")
	renewed := of("POST", "/portal/secret", `{}`, nil)
	renewed.want(t, 201, "")
	if second, _ := renewed.field(t, "clientSecret").(string); second == first || len(second) != 47 {
		t.Error("no other client secret")
	}
	brought := of("POST", "/portal/secret", `{"clientSecret":"brought-along-0123456789","overlapHours":0}`, nil)
	brought.want(t, 201, "")
	if brought.field(t, "clientSecret") != nil {
		t.Error(brought.body)
	}
	of("POST", "/growth-chart/secret", `{}`, nil).want(t, 422, "invalid_fields")
	for _, a := range []answer{of("GET", "/portal", "", nil), of("GET", "", "", nil), changed} {
		if strings.Contains(a.body, "fls_") || strings.Contains(a.body, "brought-along") {
			t.Errorf("a client secret is told again: %s", a.body)
		}
	}
	if strings.Contains(r.log.String(), "fls_") || strings.Contains(r.log.String(), "brought-along") {
		t.Error("a client secret is in the log")
	}
	if a := of("DELETE", "/portal", "", anyTag); a.status != 204 {
		t.Error(a)
	}
	of("GET", "/portal", "", nil).want(t, 404, "app_not_found")
}

// TestSMARTOfAnother: another organization's authorization server is as if it were not there.
func TestSMARTOfAnother(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "clinic")
	r.switchOn(t, orgA, "clinic")
	for _, route := range r.deps.Routes() {
		by := manager(orgB)
		switch route.Function {
		case "authorization", "apps":
		case "launches":
			by = opener(orgB)
		default:
			continue
		}
		body := map[string]string{"PUT": smartSettings, "POST": publicApp, "PATCH": `{}`}[route.Method]
		if strings.HasSuffix(route.Path, "/secret") {
			body = `{}`
		}
		if route.Function == "launches" {
			body = launchOfAda
		}
		ask := func(slug string) answer {
			target := strings.NewReplacer("{slug}", slug, "{clientId}", "growth-chart").Replace(route.Path)
			return r.send(t, request{caller: by, method: route.Method, target: target, body: body, header: anyTag})
		}
		theirs, none := ask("clinic"), ask("nobody")
		theirs.want(t, 404, "link_not_found")
		if strings.ReplaceAll(instance.ReplaceAllString(theirs.body, ""), "clinic", "nobody") != instance.ReplaceAllString(none.body, "") {
			t.Errorf("%s %s:\n%s\n%s", route.Method, route.Path, theirs.body, none.body)
		}
	}
}

var discoveryPaths = []string{"/.well-known/smart-configuration", "/.well-known/openid-configuration", "/jwks", "/discovery/v2.0/keys"}

func TestSMARTDiscovery(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "clinic")
	r.switchOn(t, orgA, "clinic")
	ask := func(path string) answer {
		return r.send(t, request{method: "GET", target: "/api/smart/clinic" + path + "?x=1&x=2", header: http.Header{"Accept": {"text/html"}, "Origin": {"https://app.example"}}})
	}
	for _, path := range discoveryPaths {
		a := ask(path)
		a.want(t, 200, "")
		if a.header.Get("Cache-Control") != "public, max-age=300" || a.header.Get("Content-Type") != "application/json" || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	if a, b := ask(discoveryPaths[0]), ask(discoveryPaths[1]); a.body != b.body || a.field(t, "issuer") != publicURL+"/api/smart/clinic" || a.field(t, "jwks_uri") != publicURL+"/api/smart/clinic/jwks" {
		t.Errorf("%s\n%s", a.body, b.body)
	}
	var keys jose.JSONWebKeySet
	a, b := ask("/jwks"), ask("/discovery/v2.0/keys")
	if err := json.Unmarshal([]byte(a.body), &keys); err != nil || a.body != b.body || len(keys.Keys) != 1 || !keys.Keys[0].Valid() || !keys.Keys[0].IsPublic() {
		t.Errorf("%v %s", err, a.body)
	}

	// Whatever the reason is why there is no authorization server: the bytes are the same.
	r.register(t, orgA, "off")
	r.register(t, orgA, "gone")
	r.switchOn(t, orgA, "gone")
	r.send(t, request{caller: manager(orgA), method: "DELETE", target: "/api/links/gone", header: anyTag})
	private := newRig(t, func(d *functions.Deps) { d.SMART.PublicURL = "" })
	for _, path := range discoveryPaths {
		want := r.send(t, request{method: "GET", target: "/api/smart/nobody" + path})
		want.want(t, 404, "invalid_request")
		for _, slug := range []string{"off", "gone", "x", "UPPER", "a%20b", "clinic%00", "Clinic"} {
			if a := r.send(t, request{method: "GET", target: "/api/smart/" + slug + path}); a.status != 404 || a.body != want.body {
				t.Errorf("%s%s: %d %s", slug, path, a.status, a.body)
			}
		}
		if a := private.send(t, request{method: "GET", target: "/api/smart/clinic" + path}); a.status != 404 || a.body != want.body {
			t.Errorf("without a public URL: %d %s", a.status, a.body)
		}
	}
	for _, target := range []string{"/api/smart/clinic/none", "/api/smart/clinic/", "/api/smart/clinic", "/api/smart", "/api/smart/clinic/jwks/"} {
		if a := ask(strings.TrimPrefix(target, "/api/smart/clinic")); target != "/api/smart" && a.status != 404 {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
	a = r.send(t, request{method: "POST", target: "/api/smart/clinic/jwks"})
	a.want(t, 405, "invalid_request")

	// While the database or the key cannot be reached, what is known is served, and the rest fails closed.
	r.rows.Fault = func(string, smartKey, bool) error { return errDown }
	ask("/jwks").want(t, 200, "")
	r.send(t, request{method: "GET", target: "/api/smart/off/jwks"}).want(t, 503, "temporarily_unavailable")
	r.rows.Fault = nil
	keyless := newRig(t)
	keyless.register(t, orgA, "clinic")
	keyless.switchOn(t, orgA, "clinic")
	keyless.key.Fail(signer.ErrUnavailable)
	down := smartauth.New(keyless.deps.SMART.Deps)
	down.Keys = signer.New(keyless.key, time.Now, keyless.deps.Log)
	other := newRig(t, func(d *functions.Deps) { d.SMART = down })
	other.send(t, request{method: "GET", target: "/api/smart/clinic/jwks"}).want(t, 503, "temporarily_unavailable")
	other.send(t, request{method: "GET", target: "/api/smart/clinic/.well-known/smart-configuration"}).want(t, 200, "")
}

// TestIssuerIsNeverHandedOn: a slug that was an issuer stays its organization's, even after the link is
// deleted, and the settings and the apps are gone with the link.
func TestIssuerIsNeverHandedOn(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "clinic")
	r.switchOn(t, orgA, "clinic")
	r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps", body: publicApp}).want(t, 201, "")
	if a := r.send(t, request{caller: manager(orgA), method: "DELETE", target: "/api/links/clinic", header: anyTag}); a.status != 204 {
		t.Fatal(a)
	}
	if n := r.rows.Len(); n != 0 {
		t.Errorf("%d rows are left of it", n)
	}
	r.send(t, request{caller: manager(orgB), method: "POST", target: "/api/register", body: registration("clinic", "clinic", clientSecret)}).want(t, 409, "slug_taken")
	r.register(t, orgA, "clinic")
	r.send(t, request{caller: manager(orgA), method: "GET", target: "/api/links/clinic/smart"}).want(t, 404, "smart_not_enabled")
	r.switchOn(t, orgA, "clinic")
	if a := r.send(t, request{caller: manager(orgA), method: "GET", target: "/api/links/clinic/apps"}); a.body != `{"apps":[],"continue":""}`+"\n" {
		t.Error(a.body)
	}
}
