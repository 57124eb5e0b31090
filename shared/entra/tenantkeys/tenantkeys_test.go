package tenantkeys_test

import (
	"net/http"
	"testing"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/tenantkeys"
)

const (
	tenant    = "11111111-1111-4111-8111-111111111111"
	resource  = "66666666-6666-4666-8666-666666666666"
	authority = "https://login.sandbox.test/"
)

// TestKeys: the keys of a tenant are fetched once an hour, those of the resource's application where it has some,
// and the last ones serve while Entra does not answer.
func TestKeys(t *testing.T) {
	entra := entratest.New(entratest.Tenant{ID: tenant, Apps: []entratest.App{{ClientID: resource}}})
	entra.URL = authority
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	keys := tenantkeys.New(entra.Client(), func() time.Time { return now })
	of := func(resource string) (ids []string) {
		for _, one := range keys.Of(t.Context(), authority, tenant, resource) {
			if one.Algorithm != "RS256" || one.Use != "sig" || !one.IsPublic() {
				t.Errorf("%+v", one)
			}
			ids = append(ids, one.KeyID)
		}
		return ids
	}
	down := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	entra.Before = down
	if got := of("https://clinic.example"); got != nil || entra.KeyFetches.Load() != 1 {
		t.Errorf("%q after %d fetches", got, entra.KeyFetches.Load())
	}
	of("https://clinic.example")
	if n := entra.KeyFetches.Load(); n != 1 {
		t.Errorf("%d fetches of what failed a moment ago", n)
	}
	entra.Before = nil
	now = now.Add(time.Minute)
	first := of("https://clinic.example")
	if len(first) != 1 {
		t.Fatalf("%q", first)
	}
	for range 5 {
		of("https://clinic.example")
	}
	now = now.Add(59 * time.Minute)
	of("https://clinic.example")
	if n := entra.KeyFetches.Load(); n != 2 {
		t.Errorf("%d fetches within an hour", n)
	}
	entra.Rotate(false)
	now = now.Add(time.Minute)
	if got := of("https://clinic.example"); len(got) != 2 {
		t.Errorf("%q after a rotation", got)
	}
	entra.Before = down
	now = now.Add(48 * time.Hour)
	if got := of("https://clinic.example"); len(got) != 2 {
		t.Errorf("%q while Entra is down", got)
	}
	entra.Before = nil
	entra.OwnKey(resource)
	tenants, own := of("https://clinic.example"), of("api://"+resource)
	if len(own) == 0 || own[0] == tenants[0] && len(own) == len(tenants) {
		t.Errorf("the application's keys are %q, the tenant's %q", own, tenants)
	}
	if got := of(resource); len(got) != len(own) {
		t.Errorf("by its id: %q", got)
	}
}
