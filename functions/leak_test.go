package functions_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/link"
	"fhirlink/shared/secret"
	"fhirlink/shared/signer"
	"fhirlink/shared/store"
)

// forms returns the encodings in which a secret could leak.
func forms(canary string) []string {
	quoted, err := json.Marshal(canary)
	if err != nil {
		panic(err) // a string always encodes
	}
	reversed := []byte(canary)
	slices.Reverse(reversed)
	return []string{
		canary, string(reversed), string(quoted[1 : len(quoted)-1]), url.QueryEscape(canary), url.PathEscape(canary),
		base64.StdEncoding.EncodeToString([]byte(canary)), base64.RawURLEncoding.EncodeToString([]byte(canary)), hex.EncodeToString([]byte(canary)),
	}
}

// leaks returns the canaries that text contains.
func leaks(text string, canaries ...string) (found []string) {
	for _, canary := range canaries {
		for _, form := range forms(canary) {
			if strings.Contains(text, form) {
				found = append(found, form)
			}
		}
	}
	return found
}

func TestLeaksAreFound(t *testing.T) {
	for _, form := range forms(clientSecret) {
		if len(leaks("x"+form+"x", clientSecret)) == 0 {
			t.Errorf("%s is not found", form)
		}
	}
}

const wrongSecret = "canary~wrong/secret+of=the&link%"

// Every route but those for apps, which TestNothingOfAppsLeaks has, with everything that can go wrong
// behind it. Neither an answer nor the log ever contains a secret, a caller's token, or what a panic or
// an upstream said. Only token's answers contain tokens for links.
func TestNothingLeaks(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "good-health-clinic")
	granted := r.send(t, request{caller: broker(orgA), method: "POST", target: "/api/token", body: `{"slug":"good-health-clinic"}`})
	granted.want(t, http.StatusOK, "")
	token, _ := granted.field(t, "access_token").(string)

	everything := app(orgA, "Links.Manage.All", "Links.Token.All", "Links.Launch.All")
	canaries := []string{clientSecret, expiredSecret, wrongSecret, token, r.token(everything), "canary-code", "canary-upstream"}
	count := 0
	for _, trouble := range troubles(r) {
		name := trouble.name
		trouble.set()
		for _, q := range requestsWithSecrets(r) {
			q.caller = everything
			a := r.send(t, q)
			count++
			body := a.body
			if strings.HasPrefix(q.target, "/api/token") && a.status == http.StatusOK {
				body = strings.ReplaceAll(body, token, "")
			}
			if found := leaks(fmt.Sprint(a.header)+body, canaries...); found != nil {
				t.Errorf("%s, %s %s: %q in %d %s", name, q.method, q.target, found, a.status, a.body)
			}
			if a.status >= 500 && a.status != http.StatusServiceUnavailable && !strings.Contains(name, "panics") {
				t.Errorf("%s, %s %s: %d %s", name, q.method, q.target, a.status, a.body)
			}
		}
		ask(r.behindHost, byHost(r.request(t, request{method: "POST", target: "/secret-expiry", body: "{}"})))
	}
	if count < 100 {
		t.Errorf("%d requests only", count)
	}
	if found := leaks(r.log.String(), canaries...); found != nil {
		t.Errorf("the log has %q", found)
	}
	if !strings.Contains(r.log.String(), `"msg":"panic"`) || !strings.Contains(r.log.String(), `"msg":"token.issued"`) {
		t.Error("the log does not have what it should")
	}
	clearFaults(r)
	if row := fmt.Sprintf("%+v %#v", r.row(t, "good-health-clinic"), r.row(t, "good-health-clinic")); leaks(row, canaries...) != nil {
		t.Errorf("the row has a secret: %s", row)
	}
}

func clearFaults(r *rig) {
	r.stores.Fault, r.rows.Fault, r.secrets.Fault, r.entra.Before = nil, nil, nil, nil
	r.key.Fail(nil)
}

type trouble struct {
	name string
	set  func()
}

// troubles are the faults behind the API, each injected by its function.
func troubles(r *rig) []trouble {
	on := func(before bool, f func() error) {
		clearFaults(r)
		r.stores.Fault = func(_ string, _ link.Slug, b bool) error {
			if b != before {
				return nil
			}
			return f()
		}
		r.rows.Fault = func(_ string, _ store.Key, b bool) error {
			if b != before {
				return nil
			}
			return f()
		}
	}
	upstream := errors.New("canary-upstream")
	return []trouble{
		{"nothing", func() { clearFaults(r) }},
		{"the table is down", func() { on(true, func() error { return fmt.Errorf("%w", store.ErrUnavailable) }) }},
		{"answers get lost", func() { on(false, func() error { return fmt.Errorf("%w", store.ErrUnavailable) }) }},
		{"the table panics", func() { on(true, func() error { panic(upstream) }) }},
		{"the vault is down", func() {
			clearFaults(r)
			r.secrets.Fault = func(string, string, bool) error { return fmt.Errorf("%w", secret.ErrUnavailable) }
		}},
		{"the vault panics", func() {
			clearFaults(r)
			r.secrets.Fault = func(string, string, bool) error { panic("canary-upstream") }
		}},
		{"the vault has lost it", func() {
			clearFaults(r)
			r.secrets.Fault = func(op, _ string, _ bool) error {
				if op == "Get" {
					return secret.ErrNotFound
				}
				return nil
			}
		}},
		{"nothing can be signed", func() {
			clearFaults(r)
			r.key.Fail(fmt.Errorf("%w", signer.ErrUnavailable))
		}},
		{"entra repeats the secret", func() {
			clearFaults(r)
			r.entra.Before = r.entra.Refuse(401, "invalid_client", 7000215, "Invalid client secret provided: "+clientSecret+" "+wrongSecret+" canary-upstream")
		}},
		{"entra answers with nonsense", func() {
			clearFaults(r)
			r.entra.Before = func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.HasSuffix(req.URL.Path, "/token") {
					return false
				}
				_, _ = w.Write([]byte(`{"access_token":5,"x":"` + clientSecret + ` canary-upstream"}`))
				return true
			}
		}},
	}
}

// requestsWithSecrets returns requests that carry secrets, in the right places and in wrong ones.
func requestsWithSecrets(r *rig) []request {
	ifMatch := http.Header{"If-Match": {"*"}, "X-Functions-Key": {"canary-code"}, "Cookie": {"a=canary-code"}}
	var all []request
	add := func(method, target string, bodies ...string) {
		for _, body := range bodies {
			all = append(all, request{method: method, target: target, body: body, header: ifMatch})
		}
	}
	wrong := []string{
		`{"clientSecret":["` + clientSecret + `"]}`, `{"clientSecret":{"` + clientSecret + `":1}}`, `{"clientSecret":"` + clientSecret + `","clientSecret":"` + wrongSecret + `"}`,
		`{"clientCertificate":"` + clientSecret + `"}`, `{"clientSecret":"` + wrongSecret + `","clientCertificate":"` + clientSecret + `"}`,
		`{"ClientSecret":"` + clientSecret + `"}`, `{"secret":"` + clientSecret + `"}`, `{"clientSecret":"` + clientSecret, `{"listed":"` + clientSecret + `"}`, `"` + clientSecret + `"`,
	}
	for _, method := range []string{"GET", "HEAD", "DELETE", "TRACE"} {
		add(method, "/api/links/no-such-clinic?code=canary-code&client_secret="+url.QueryEscape(clientSecret), "")
	}
	add("GET", "/api/links?code=canary-code", "")
	add("GET", "/api/links/good-health-clinic?code=canary-code", "")
	for _, path := range []string{"/links/good-health-clinic/events", "/links/good-health-clinic/report", "/directory/good-health-clinic", "/webhooks", "/webhooks/none", "/me", "/health", "/openapi.yaml", "/translate-scope"} {
		add("GET", "/api"+path+"?code=canary-code&scope=openid", "")
	}
	add("GET", "/canary-code?code=canary-code", "")
	add("POST", "/api/translate-scope?code=canary-code", `{"scope":"openid"}`)
	add("POST", "/api/register", append(wrong, registration("another-clinic", "norole", wrongSecret), registration("another-clinic", "clinic", expiredSecret),
		registration("good-health-clinic", "clinic", clientSecret), registration("down-clinic", "down", clientSecret), registration("html-clinic", "html", clientSecret))...)
	add("POST", "/api/verify", append(wrong, `{"slug":"good-health-clinic"}`, registration("another-clinic", "clinic", clientSecret), registration("Bad Slug", "clinic", wrongSecret))...)
	add("PATCH", "/api/links/good-health-clinic", append(wrong, `{"clientSecret":"`+clientSecret+`"}`, `{"audience":"https://x.example","clientSecret":"`+wrongSecret+`"}`)...)
	add("PUT", "/api/links/good-health-clinic/secret", append(wrong, `{"clientSecret":"`+wrongSecret+`"}`, `{"clientSecret":"`+clientSecret+`"}`)...)
	add("POST", "/api/discover", append(wrong, `{"fhirServerUrl":"https://html.fhir.sandbox.test","clientSecret":"`+clientSecret+`"}`, `{"fhirServerUrl":"https://ada:`+url.QueryEscape(clientSecret)+`@html.fhir.sandbox.test"}`)...)
	add("POST", "/api/webhooks", append(wrong, `{"url":"https://clinic.fhir.sandbox.test/hook","signingSecret":"`+clientSecret+`"}`)...)
	add("PATCH", "/api/webhooks/none", append(wrong, `{"signingSecret":"`+clientSecret+`"}`)...)
	add("DELETE", "/api/webhooks/none?code=canary-code", "")
	add("POST", "/api/webhooks/none/test?code=canary-code", `{"secret":"`+clientSecret+`"}`)
	add("POST", "/api/webhooks/none/rotate?code=canary-code", `{"secret":"`+clientSecret+`"}`)
	add("POST", "/api/token", `{"slug":"good-health-clinic","client_secret":"`+clientSecret+`"}`, `{"slug":"good-health-clinic"}`)
	for _, form := range []string{
		"grant_type=client_credentials&slug=good-health-clinic", "grant_type=client_credentials&slug=good-health-clinic&client_secret=" + url.QueryEscape(clientSecret),
		"grant_type=" + url.QueryEscape(clientSecret), "client_secret=" + clientSecret + "%zz",
	} {
		all = append(all, request{method: "POST", target: "/api/token?code=canary-code", contentType: formType, body: form, header: ifMatch})
	}
	return all
}
