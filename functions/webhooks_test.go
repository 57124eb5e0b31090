package functions_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"fhirlink/shared/notify"
)

// createWebhook makes a webhook at a server of the sandbox and returns its id and key.
func (r *rig) createWebhook(t *testing.T, organization, host string) (id, key string) {
	t.Helper()
	a := r.send(t, request{caller: manager(organization), method: "POST", target: "/api/webhooks", body: `{"url":"https://` + host + `/hook","description":"ours"}`})
	a.want(t, http.StatusCreated, "")
	id, key = a.field(t, "id").(string), a.field(t, "signingSecret").(string)
	if a.header.Get("Location") != "/api/webhooks/"+id || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
	return id, key
}

func TestWebhooks(t *testing.T) {
	r := newRig(t)
	id, key := r.createWebhook(t, orgA, "clinic.fhir.sandbox.test")
	path := "/api/webhooks/" + id
	send := func(method, target, body string, status int, code string) answer {
		t.Helper()
		a := r.send(t, request{caller: manager(orgA), method: method, target: target, body: body})
		a.want(t, status, code)
		return a
	}
	one := send("GET", path, "", 200, "").body
	if all := send("GET", "/api/webhooks", "", 200, "").body; strings.TrimSpace(all) != `{"webhooks":[`+strings.TrimSpace(one)+`]}` {
		t.Errorf("%s", all)
	}
	if strings.Contains(one, "whsec_") {
		t.Errorf("the key is told again: %s", one)
	}
	send("POST", "/api/webhooks", `{"url":"http://10.0.0.1/"}`, 422, "invalid_fields")
	send("POST", "/api/webhooks", `{"url":"https://a.example","secret":"x"}`, 400, "malformed_body")
	send("PATCH", path, `{"url":"https://norole.fhir.sandbox.test/","enabled":false}`, 200, "")
	send("PATCH", path, `{"enabled":null,"url":null,"description":null}`, 200, "") // as if they were left out
	if a := send("PATCH", path, `{"enabled":true}`, 200, ""); a.field(t, "enabled") != true {
		t.Errorf("%s", a.body)
	}
	if a := send("POST", path+"/test", "", 200, ""); a.field(t, "outcome") != "retry" {
		t.Errorf("a FHIR server took an event: %s", a.body)
	}
	if a := send("POST", path+"/rotate", "", 200, ""); a.field(t, "signingSecret") == key || a.field(t, "overlapEndsAt") == nil {
		t.Errorf("%s", a.body)
	}
	for range 4 {
		r.createWebhook(t, orgA, "clinic.fhir.sandbox.test")
	}
	send("POST", "/api/webhooks", `{"url":"https://clinic.fhir.sandbox.test"}`, 409, "too_many_webhooks")
	send("DELETE", path, "", 204, "")
	send("GET", path, "", 404, "webhook_not_found")
	if log := r.log.String(); strings.Contains(log, "whsec_") || strings.Contains(log, key) {
		t.Errorf("a key is in the log: %s", log)
	}
}

// Another organization's webhook gets the answer of one that does not exist, for every request.
func TestWebhookNotYoursIsNotThere(t *testing.T) {
	r := newRig(t)
	theirs, _ := r.createWebhook(t, orgA, "clinic.fhir.sandbox.test")
	absent := strings.Repeat("z", len(theirs))
	read := request{caller: manager(orgA), method: "GET", target: "/api/webhooks"}
	before, secrets := r.send(t, read).body, r.secrets.Entries()
	for name, stranger := range map[string]claims{
		"a manager of B": manager(orgB), "the operator": manager(operator), "a broker of A": broker(orgA), "a reader of A": user(orgA, "Links.Manage"), "nobody": nil,
	} {
		for _, part := range []string{"", "/test", "/rotate"} {
			for _, verb := range verbs {
				q := request{caller: stranger, method: verb, target: "/api/webhooks/" + theirs + part}
				if verb == "PATCH" {
					q.body = `{"enabled":false}`
				}
				got := r.send(t, q)
				q.target = "/api/webhooks/" + absent + part
				want := r.send(t, q)
				if got.status < 300 && verb != "OPTIONS" || !reflect.DeepEqual(anonymous(got, theirs), anonymous(want, absent)) {
					t.Errorf("%s, %s %s:\n%d %v %s\n%d %v %s", name, verb, part, got.status, got.header, got.body, want.status, want.header, want.body)
				}
			}
		}
		if name == "a manager of B" || name == "the operator" {
			q := read
			q.caller = stranger
			if a := r.send(t, q); strings.TrimSpace(a.body) != `{"webhooks":[]}` {
				t.Errorf("%s lists %s", name, a.body)
			}
		}
	}
	if after := r.send(t, read).body; after != before || !reflect.DeepEqual(secrets, r.secrets.Entries()) {
		t.Errorf("it was changed: %s", after)
	}
}

// Hostile ids do not exist.
func TestHostileWebhookIDs(t *testing.T) {
	r := newRig(t)
	r.createWebhook(t, orgA, "clinic.fhir.sandbox.test")
	for _, id := range []string{
		"..", "%2e%2e", "a%2fb", "a%5cb", "%00", "%0d%0aSet-Cookie:%20a=b", "%ff%fe", "%27%20or%20RowKey%20ne%20%27", "*", "$metadata", "%23", "%3f", strings.Repeat("a", 5000), "%F0%9F%98%80",
	} {
		for _, part := range []string{"", "/test", "/rotate"} {
			for _, method := range []string{"GET", "PATCH", "POST", "DELETE"} {
				q := request{caller: manager(orgA), method: method, target: "/api/webhooks/" + id + part}
				if method == "PATCH" {
					q.body = `{"enabled":false}`
				}
				a := r.send(t, q)
				if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed || a.header.Get("Set-Cookie")+a.header.Get("Location") != "" || len(a.body) > 1000 {
					t.Errorf("%s %.60s%s: %d %.300s", method, id, part, a.status, a.body)
				}
			}
		}
	}
}

// An event on the wire matches openapi.yaml.
func TestDocumentedEvent(t *testing.T) {
	schema := loaded(t).Components.Schemas["Event"]
	if schema == nil {
		t.Fatal("openapi.yaml has no schema Event")
	}
	days, threshold := 14, 14
	test := notify.Event{ID: "msg_1", Type: notify.WebhookTest, Time: time.Now(), Organization: orgA, Message: "A test."}
	expiring := test
	expiring.Type, expiring.Slug, expiring.Description, expiring.Status, expiring.Fix = notify.SecretExpiring, "clinic", "Clinic", "active", "Create another."
	expiring.SecretState, expiring.ExpiresOn, expiring.DaysLeft, expiring.Threshold = "expiring", "2027-05-01", &days, &threshold
	for _, e := range []notify.Event{test, expiring} {
		body, err := e.CloudEvent()
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(body, &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}
