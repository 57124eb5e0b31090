package signin

import (
	"net/http"
	"strings"
	"time"
)

// The cookies. The prefix __Host- keeps other hosts of the same site from setting them.
const (
	pendingCookie   = "__Host-signin-" // and the first characters of the state
	sessionCookie   = "__Host-session"
	renewedCookie   = "__Host-renewed"
	signedOutCookie = "__Host-signed-out"

	stateInName     = 8
	maxPending      = 3
	maxSessionBytes = 2500 // with its name; all cookies and a URL must fit the 10,240 bytes of API Gateway
)

// cookie is one that ends with the browser's session, or after maxAge if that is not zero.
func cookie(name, value string, site http.SameSite, maxAge time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: site, MaxAge: int(maxAge / time.Second),
	}
}

// cleared removes a cookie. A browser takes it only with the attributes that it was set with.
func cleared(name string) *http.Cookie {
	site := http.SameSiteLaxMode
	if strings.HasPrefix(name, pendingCookie) {
		site = http.SameSiteNoneMode
	}
	c := cookie(name, "", site, 0)
	c.MaxAge = -1
	return c
}

// valueOf returns the value of a cookie, "" without one.
func valueOf(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}
