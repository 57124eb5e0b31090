package client

import (
	"context"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/smartauth"
	"fhirlink/shared/store"
)

// Keys finds the keys of apps that publish them; [jwks.Published] implements it.
type Keys interface {
	Find(ctx context.Context, uri, keyID string, algorithm jose.SignatureAlgorithm) (any, error)
}

// Authenticator finds out which app sends a request. All fields are required.
type Authenticator struct {
	Keys   Keys
	Rows   store.Rows // which assertions were presented
	Issuer func(slug string) string
	Now    func() time.Time
}

// endpoints are what an assertion can be for: the token endpoint, by both of its addresses, and the issuer,
// which some libraries use.
func (by Authenticator) endpoints(slug string) []string {
	issuer := by.Issuer(slug)
	return []string{issuer + smartauth.TokenPath, issuer + smartauth.OtherTokenPath, issuer}
}

// App returns the app of a server that the credentials prove. An assertion counts once: it is spent by this
// call. Errors: *oauth.Error, UpstreamUnavailable, and that of the context.
func (by Authenticator) App(ctx context.Context, server smartauth.Server, c Credentials) (smartauth.App, error) {
	usedBasic := c.basic != nil
	a, ok := server.App(c.ClientID)
	switch {
	case c.ClientID == "":
		return smartauth.App{}, invalidClient("The client is not named. Send client_id, or the header Authorization.", usedBasic)
	case !ok || a.Disabled:
		return smartauth.App{}, invalidClient("The client is not registered here, or it was switched off.", usedBasic)
	}
	var wrong string
	switch a.Type {
	case smartauth.Public:
		if !c.Secret.IsZero() || c.assertion != nil {
			wrong = "The client is public and has neither a secret nor a key. Send client_id only."
		}
	case smartauth.Asymmetric:
		if c.assertion == nil {
			wrong = "The client must authenticate with a client_assertion that it has signed."
		} else if err := c.assertion.check(ctx, by, server, a); err != nil {
			return smartauth.App{}, err
		}
	default:
		wrong = c.wrongSecret(a, by.Now())
	}
	if wrong != "" {
		return smartauth.App{}, invalidClient(wrong, usedBasic)
	}
	return a, nil
}

// wrongSecret says what is wrong with the client secret; empty: nothing.
func (c Credentials) wrongSecret(a smartauth.App, now time.Time) string {
	switch {
	case c.Secret.IsZero():
		return "The client must authenticate with its client secret."
	case a.Authenticates(c.Secret, now), c.basic != nil && a.Authenticates(c.basic.rawSecret, now):
		return ""
	}
	return "The client secret is wrong, or its time is over."
}
