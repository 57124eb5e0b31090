package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"fhirlink/shared/problem"
	"fhirlink/shared/signin"
	"fhirlink/shared/smartauth"
)

// guard is in front of everything else. In this program a request without a token has all
// rights, so nothing that web pages make a browser on this machine send may get through:
//
//   - A page whose host name resolves to 127.0.0.1 (DNS rebinding) is same-origin to the browser,
//     but sends that name as Host: 421.
//   - A page of another site or of another port of this machine is cross-origin: 403. Reading
//     is refused as well as changing. [http.CrossOriginProtection] lets GET through because GET
//     should change nothing, but here GET shows links without a sign-in. Only pages of the
//     origins in FHIRLINK_CORS_ORIGINS have a reason to ask.
//
// A navigation from another site may open the pages for people, as it shows them to nobody else. With
// -sign-in the authority's site may post its answers to the one page that takes them.
//
// What lies below the issuers of SMART authorization is for web pages of other sites: they may call what
// trusts nothing but what the request itself proves, and navigate to where users sign in. So are the
// sandbox's FHIR servers for browsers, which answer nothing without a token of such a sign-in.
//
// Programs other than browsers send neither Sec-Fetch-Site nor Origin, and pass.
type guard struct {
	refuser
	sites     *http.CrossOriginProtection
	authority string // origin of the site where people sign in; empty: there is none
	next      http.Handler
}

// newGuard guards next. Pages of the given origins may call it, e.g. http://localhost:3000. People sign
// in at the origin authority, if there is one.
func newGuard(next http.Handler, origins []string, authority string, refuser refuser) (*guard, error) {
	g := &guard{refuser, http.NewCrossOriginProtection(), authority, next}
	for _, origin := range origins {
		if err := g.sites.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("FHIRLINK_CORS_ORIGINS: %w", err)
		}
	}
	return g, nil
}

// ServeHTTP implements [http.Handler].
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !isLoopbackName(r.Host):
		g.refuse(w, r, problem.New(problem.Misdirected,
			"This program answers as localhost, 127.0.0.1 and [::1] only. Ask for http://localhost, with the port in it."))
	case g.isCrossSite(r) && !opensPage(r) && !g.isAnswer(r) && !isForApps(r) && !isResource(r):
		g.refuse(w, r, problem.New(problem.Forbidden,
			"This request came from a web page of another origin. To let a front end of yours call, put its origin into FHIRLINK_CORS_ORIGINS."))
	default:
		g.next.ServeHTTP(w, r)
	}
}

// isCrossSite applies the standard library's rule for unsafe methods to every method.
func (g *guard) isCrossSite(r *http.Request) bool {
	asUnsafe := r.WithContext(r.Context()) // a shallow copy
	asUnsafe.Method = http.MethodPost
	return g.sites.Check(asUnsafe) != nil
}

// opensPage reports whether a request opens a page for people, as a link in a mail or on another site
// does. A page shows its links to whoever sits at this machine, and to no other site.
func opensPage(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == "/" || isPage(r)) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// isForApps reports whether a request is one of those below an issuer that come from other sites.
func isForApps(r *http.Request) bool {
	rest, below := strings.CutPrefix(r.URL.Path, smartauth.Base)
	_, path, found := strings.Cut(rest, "/")
	if !below || !found || !isSMART(r) {
		return false
	}
	navigates := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	switch "/" + path {
	case smartauth.AuthorizePath, "/oauth2/v2.0/authorize":
		return navigates && (r.Method == http.MethodGet || r.Method == http.MethodPost)
	case smartauth.CallbackPath:
		return navigates && r.Method == http.MethodGet
	case "/.well-known/smart-configuration", "/.well-known/openid-configuration", smartauth.KeysPath, "/discovery/v2.0/keys", smartauth.TokenPath, "/oauth2/v2.0/token", smartauth.RevokePath:
		return true
	}
	return false
}

// isAnswer reports whether a request is the authority's answer to a sign-in. No other path takes forms
// of that origin.
func (g *guard) isAnswer(r *http.Request) bool {
	return g.authority != "" && r.Method == http.MethodPost && r.URL.Path == signin.SignedIn && r.Header.Get("Origin") == g.authority
}

// isLoopbackName reports whether a Host header names this machine. Any port will do, because a
// page cannot choose it independently of its own origin.
func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return strings.EqualFold(name, "localhost") || name == "127.0.0.1" || (name == "::1" && host[0] == '[')
	}
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "[::1]"
}

// checkLoopback checks that only this machine can reach addr (host:port), and that the guard
// accepts requests to it.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port, as 127.0.0.1:7071 is", addr)
	}
	if !isLoopbackName(net.JoinHostPort(host, "0")) {
		return fmt.Errorf("%q is not the loopback address (localhost, 127.0.0.1 or [::1]): here a request without a sign-in has all rights, so nobody else may reach it. "+
			"Use 127.0.0.1:7071, or run the Azure or Lambda program for others", addr)
	}
	return nil
}
