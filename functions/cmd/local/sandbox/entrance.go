package sandbox

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/fhir/fhirtest"
)

// APIClientID is the registration that people sign in to.
const APIClientID = "99999999-9999-4999-8999-999999999999"

// Tenants returns the tenants whose people can sign in.
func Tenants() []string { return []string{browser.Clinic, browser.Partner} }

// Issuers are the iss of Entra's access tokens of a tenant, of version 1 and 2. Which of them a token has is up to
// the application of the FHIR server, in the sandbox version 1.
func Issuers(tenantID string) []string {
	return []string{"https://sts.windows.net/" + tenantID + "/", Authority + tenantID + "/v2.0"}
}

// asRegistered are the usual users, with what an administrator has set up for access tokens of the FHIR
// servers: the claim fhirUser, and for everybody who has one the application role with which Microsoft's
// open-source server reads scopes.
func asRegistered() []browser.User {
	users := browser.Users()
	for i, u := range users {
		if u.FHIRUser != "" {
			users[i].AccessClaims = map[string]any{"fhirUser": u.FHIRUser, "roles": []string{smartUser}}
		}
	}
	return users
}

const smartUser = "smartUser"

// OpenToBrowsers lets people sign in at a site of the sandbox's Entra, for a deployment at publicURL.
// Its tokens are those of Authority. Call it once.
func (s *Sandbox) OpenToBrowsers(publicURL string) (site *browser.Site, err error) {
	s.Entra.Set(entratest.Tenant{ID: browser.Partner, Name: "Partner", Zone: zone})
	err = s.Open(func(origin string) http.Handler {
		site = browser.New(s.Entra, origin, publicURL, APIClientID)
		site.Users = asRegistered()
		return site
	})
	return site, err
}

// Open serves a site to the browsers of this machine, until Close. It answers at 127.0.0.1 with a port of
// its own, which browsers take for another site than localhost. site is told its origin.
func (s *Sandbox) Open(site func(origin string) http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	server := &http.Server{Handler: site("http://" + listener.Addr().String()), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.sites = append(s.sites, server)
	go func() { _ = server.Serve(listener) }() // returns only after Close, with an error that says so
	return nil
}

// FHIRForBrowsers is the FHIR servers once more, for requests whose host is one of theirs. usual answers
// what no scenario answers in its way, and checks the tokens.
func (s *Sandbox) FHIRForBrowsers(usual http.HandlerFunc) http.Handler {
	return &fhirtest.Server{Domain: s.FHIR.Domain, Authority: s.FHIR.Authority, TenantID: s.FHIR.TenantID, Healthy: s.FHIR.Healthy, Usual: usual}
}
