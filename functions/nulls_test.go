package functions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// A null in a request is the same as leaving the key out. Clients that cannot leave a key out send
// one for every property that openapi.yaml calls optional.
func TestNullIsAsLeftOut(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "null-clinic-0") // without nulls
	r.register(t, orgA, "null-clinic-1") // with nulls
	hook := r.send(t, request{manager(orgA), "POST", "/api/webhooks", "", `{"url":"https://hooks.example.org/"}`, nil})
	hook.want(t, http.StatusCreated, "")
	for _, tt := range []struct {
		schema, method, target, body string
		status                       int
	}{
		{"Registration", "POST", "/api/register", `{"slug":"null-NUMBER","description":"x","fhirServerUrl":"https://clinic.fhir.sandbox.test","clientId":"` + clientID + `","clientSecret":"` + clientSecret + `"}`, 201},
		{"Verification", "POST", "/api/verify", `{"slug":"null-clinic-NUMBER"}`, 200},
		{"Verification", "POST", "/api/verify", `{"slug":"null-new","description":"x","fhirServerUrl":"https://clinic.fhir.sandbox.test","clientId":"` + clientID + `","clientSecret":"` + clientSecret + `"}`, 200},
		{"Patch", "PATCH", "/api/links/null-clinic-NUMBER", `{"description":"Null NUMBER"}`, 200},
		{"NewSecret", "PUT", "/api/links/null-clinic-NUMBER/secret", `{"clientSecret":"` + clientSecret + `"}`, 200},
		{"TokenRequest", "POST", "/api/token", `{"slug":"null-clinic-NUMBER"}`, 200},
		{"ScopeRequest", "POST", "/api/translate-scope", `{"scope":"patient/*.rs launch/patient"}`, 200},
		{"ScopeRequest", "POST", "/api/translate-scope", `{"scope":["patient$*.read"],"from":"fhir-server-proxy","to":"ahds"}`, 200},
		{"NewWebhook", "POST", "/api/webhooks", `{"url":"https://hooks.example.org/NUMBER"}`, 201},
		{"WebhookPatch", "PATCH", "/api/webhooks/" + hook.field(t, "id").(string), `{"description":"NUMBER"}`, 200},
	} {
		from := manager(orgA)
		if tt.target == "/api/token" {
			from = broker(orgA)
		}
		var shapes [2]any
		for i, nulls := range []bool{false, true} {
			number := strings.NewReplacer("NUMBER", strconv.Itoa(i))
			body, target := number.Replace(tt.body), number.Replace(tt.target)
			if nulls {
				body = withNulls(t, tt.schema, body)
			}
			a := r.send(t, request{from, tt.method, target, "", body, http.Header{"If-Match": {"*"}}})
			if a.status != tt.status {
				t.Fatalf("%s %s %s: %d %s", tt.method, target, body, a.status, a.body)
			}
			shapes[i] = shape(t, a.body)
		}
		if !reflect.DeepEqual(shapes[0], shapes[1]) {
			t.Errorf("%s %s %s: answered\n%v, with nulls\n%v", tt.method, tt.target, tt.body, shapes[0], shapes[1])
		}
	}
}

// withNulls adds a null for every optional property of the schema that the body leaves out, except
// those that null clears in a Patch.
func withNulls(t *testing.T, schema, body string) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(body), &object); err != nil {
		t.Fatal(err)
	}
	cleared := map[string]bool{"secretExpiresOn": schema == "Patch", "contacts": schema == "Patch"}
	for name := range loaded(t).Components.Schemas[schema].Value.Properties {
		if _, given := object[name]; !given && !cleared[name] {
			object[name] = nil
		}
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// shape is an answer without what differs between two equal requests.
func shape(t *testing.T, body string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return shapeOf(value)
}

func shapeOf(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range []string{
			"slug", "description", "createdAt", "updatedAt", "verifiedAt", "recheckAt", "etag", "durationMs", "correlationId", "traceId", "url", "id", "signingSecret", "access_token", "expires_in",
		} {
			delete(value, name)
		}
		for name := range maps.Keys(value) {
			value[name] = shapeOf(value[name])
		}
	case []any:
		for i := range value {
			value[i] = shapeOf(value[i])
		}
	}
	return value
}

// false is a value, unlike null: a PATCH that holds it unlists the link.
func TestPatchKeepsWhatIsLeftOut(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "kept-clinic")
	patch := func(body string) answer {
		t.Helper()
		a := r.send(t, request{manager(orgA), "PATCH", "/api/links/kept-clinic", "", body, http.Header{"If-Match": {"*"}}})
		a.want(t, http.StatusOK, "")
		return a
	}
	for _, step := range []struct {
		body   string
		listed bool
	}{
		{`{"listed":true}`, true},
		{`{"description":"Another"}`, true},
		{withNulls(t, "Patch", `{"description":"A third"}`), true},
		{`{"listed":false}`, false},
		{`{"listed":null}`, false},
	} {
		if got := patch(step.body).field(t, "listed"); got != step.listed {
			t.Errorf("after %s, listed is %v", step.body, got)
		}
	}
}

// The all-zero GUID is what clients of typed languages send for a GUID that was left out. Entra has
// no application and no tenant of that id.
func TestZeroGUID(t *testing.T) {
	const zero = "00000000-0000-0000-0000-000000000000"
	r := newRig(t)
	r.register(t, orgA, "zero-clinic")
	refused := func(q request, field string) {
		t.Helper()
		a := r.send(t, q)
		a.want(t, http.StatusUnprocessableEntity, "invalid_fields")
		mistake := a.field(t, "errors").([]any)[0].(map[string]any)
		if mistake["field"] != field || mistake["code"] != "zero_guid" || !strings.Contains(mistake["message"].(string), "generated client") || mistake["fix"] == "" {
			t.Errorf("%s %s: %v", q.method, q.body, mistake)
		}
	}
	for _, field := range []string{"clientId", "tenantId", "audience"} {
		refused(request{manager(orgA), "PATCH", "/api/links/zero-clinic", "", fmt.Sprintf(`{"description":"x","%s":"%s"}`, field, zero), http.Header{"If-Match": {"*"}}}, field)
		body := map[string]string{"slug": "zero-new", "description": "x", "fhirServerUrl": "https://clinic.fhir.sandbox.test", "clientId": clientID, "clientSecret": clientSecret}
		body[field] = zero
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		refused(request{manager(orgA), "POST", "/api/register", "", string(data), nil}, field)
	}
}
