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
)

// APIClientID is the registration that people sign in to.
const APIClientID = "99999999-9999-4999-8999-999999999999"

// Tenants returns the tenants whose people can sign in.
func Tenants() []string { return []string{browser.Clinic, browser.Partner} }

// OpenToBrowsers lets people sign in at a site of the sandbox's Entra, for a deployment at publicURL.
// It answers at 127.0.0.1 with a port of its own, which browsers take for another site than localhost.
// Its tokens are those of Authority. Call it once; Close closes it.
func (s *Sandbox) OpenToBrowsers(publicURL string) (*browser.Site, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s.Entra.Set(entratest.Tenant{ID: browser.Partner, Name: "Partner", Zone: zone})
	site := browser.New(s.Entra, "http://"+listener.Addr().String(), publicURL, APIClientID)
	s.entrance = &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.entrance.Serve(listener) }() // returns only after Close, with an error that says so
	return site, nil
}
