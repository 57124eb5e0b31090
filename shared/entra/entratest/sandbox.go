package entratest

import (
	"cmp"
	"net/url"
	"strings"
	"time"
)

// Registration describes the one application of a sandbox.
type Registration struct {
	URL           string // of the authority, e.g. https://login.sandbox.test/
	TenantID      string
	ClientID      string
	Secret        string // the valid secret
	SecondSecret  string // valid too; empty: there is none
	ExpiredSecret string // is answered with AADSTS7000222
	Others        []App  // further applications of the tenant, those of SMART apps
	Zone          string // FHIR servers below this DNS name are known resources, e.g. sandbox.test; see Scenarios
	// Defines is that of the tenant, e.g. [Registered].
	Defines func(resource, scope string) bool
}

// Sandbox returns an authority with one tenant and one application.
func Sandbox(r Registration) *Authority {
	a := New(Tenant{
		ID:   r.TenantID,
		Name: "Sandbox",
		Zone: r.Zone,
		Knows: func(resource string) bool {
			u, err := url.Parse(resource)
			return err == nil && u.Scheme == "https" && strings.HasSuffix(u.Host, "."+r.Zone)
		},
		Defines: r.Defines,
		Apps: append([]App{{
			ClientID: r.ClientID,
			ObjectID: "55555555-5555-4555-8555-555555555555",
			Secrets: []Secret{
				{Value: r.Secret},
				{Value: cmp.Or(r.SecondSecret, r.Secret)},
				{Value: r.ExpiredSecret, ExpiresOn: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
			},
		}}, r.Others...),
	})
	a.URL = r.URL
	return a
}
