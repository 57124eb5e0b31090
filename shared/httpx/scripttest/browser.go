package scripttest

import (
	"fmt"
	"net/http"
	"strings"
)

// browser holds cookies by site and name.
type browser map[string]map[string]*http.Cookie

// send adds to a request the cookies that a browser sends with it: from another site (Sec-Fetch-Site) only
// those that are not SameSite=Strict, and with another method than GET only those with SameSite=None.
func (b browser) send(site string, r *http.Request) {
	crossSite := r.Header.Get("Sec-Fetch-Site") == "cross-site"
	for _, c := range b[site] {
		crosses := c.SameSite == http.SameSiteNoneMode || c.SameSite != http.SameSiteStrictMode && r.Method == http.MethodGet
		if strings.HasPrefix(r.URL.Path, c.Path) && (!crossSite || crosses) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
}

// keep keeps the cookies of an answer. A browser ignores one whose prefix promises more than it holds
// (RFC 6265bis §4.1.3.2), which is a mistake here. Secure cookies are kept whatever the site is: hosts are
// reached over http here, and over https where they are deployed.
func (b browser) keep(site string, response *http.Response) error {
	for _, c := range response.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
			return fmt.Errorf("browsers ignore the cookie %s, which needs Secure, Path=/ and no Domain: %s", c.Name, c.Raw)
		}
		if b[site] == nil {
			b[site] = map[string]*http.Cookie{}
		}
		if c.MaxAge < 0 {
			delete(b[site], c.Name)
		} else {
			b[site][c.Name] = c
		}
	}
	return nil
}
