package verification

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"fhirlink/shared/fhir"
)

// foreignSignIn says what the server wants instead of a token of Entra, or "".
func (r *run) foreignSignIn(a fhir.Answer) string {
	switch {
	case a.IsAmazon():
		return "a demand for requests signed for Amazon Web Services (Signature Version 4)"
	case a.SignIn():
		return "a redirect to a sign-in page at " + a.RedirectHost
	case a.Status >= 300 && a.Status < 400:
		return "a redirect to " + r.facts["{redirect}"]
	case a.Challenge != nil:
		return foreignRealm(*a.Challenge)
	case a.Status < 300 && a.IsPage():
		return "a web page (" + fhir.Name(a.MediaType) + ")"
	}
	var schemes []string
	for _, s := range a.Schemes {
		if s = cmp.Or(schemeNames[strings.ToLower(s)], fhir.Name(s)); !slices.Contains(schemes, s) && len(schemes) < 4 {
			schemes = append(schemes, s)
		}
	}
	switch host := r.Server.Host(); {
	case schemes != nil:
	case a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden:
		return ""
	case strings.HasSuffix(host, ".googleapis.com"):
		return "a demand for a token of Google"
	case strings.HasSuffix(host, ".amazonaws.com"):
		return "a demand for a sign-in of Amazon Web Services"
	default:
		return ""
	}
	return "a demand for sign-in by " + strings.Join(schemes, ", ")
}

var schemeNames = map[string]string{
	"ntlm": "NTLM (Windows accounts)", "negotiate": "Negotiate (Windows accounts, Kerberos)", "kerberos": "Kerberos",
	"basic": "Basic (user name and password)", "digest": "Digest (user name and password)",
}

// providers are other identity providers, by the end of their host names.
var providers = []string{
	"accounts.google.com", "googleapis.com", "okta.com", "oktapreview.com", "auth0.com", "amazoncognito.com", "amazonaws.com", "pingone.com", "onelogin.com",
}

// foreignRealm says which provider a Bearer challenge names instead of Entra, or "".
func foreignRealm(c fhir.Challenge) string {
	for _, name := range []string{"realm", "issuer", "as_uri", "authorization_uri", "authorization"} {
		n, path := parseAuthority(c.Params[name])
		known := slices.ContainsFunc(providers, func(p string) bool { return n.host == p || strings.HasSuffix(n.host, "."+p) })
		if known || n.host != "" && strings.Contains(path, "/realms/") { // of Keycloak
			return "a demand for a token of " + n.host
		}
	}
	return ""
}
