package functions_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/functions"
	"fhirlink/shared/httpx"
)

// TestAppTokenLimit: the token and the revocation endpoint of a link take 6,000 requests a minute together, whatever
// is asked of other links.
func TestAppTokenLimit(t *testing.T) {
	clock := &movedClock{now: time.Now()}
	r, _ := launching(t, func(d *functions.Deps) {
		d.Limits, d.Now = httpx.NewRateLimit(functions.PerMinute, functions.Burst, clock.time), clock.time
	})
	r.register(t, orgA, "other")
	r.switchOn(t, orgA, "other")
	paths := []string{"/token", "/revoke", "/oauth2/v2.0/token"}
	send := func(slug, path string) answer {
		return ask(r.public, r.request(t, request{method: "POST", target: "/api/smart/" + slug + path, contentType: formType, body: "grant_type=x"}))
	}
	taken := func(slug string, most int) (n int) {
		for ; n < most; n++ {
			if send(slug, paths[n%len(paths)]).status == http.StatusTooManyRequests {
				break
			}
		}
		return n
	}
	if n := taken("clinic", 7_000); n != 6_000 {
		t.Fatalf("%d requests were taken", n)
	}
	for _, path := range paths {
		a := r.send(t, request{method: "POST", target: issuer + path, contentType: formType, body: "grant_type=x"})
		a.want(t, http.StatusTooManyRequests, "temporarily_unavailable")
		if a.header.Get("Retry-After") != "1" || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	if a := send("clinic", "/jwks"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("another endpoint: %d", a.status)
	}
	if n := taken("other", 100); n != 100 {
		t.Errorf("another link: %d requests were taken", n)
	}
	clock.pass(time.Second)
	if n := taken("clinic", 200); n != 100 {
		t.Errorf("a second later: %d requests were taken", n)
	}
	clock.pass(time.Minute)
	if n := taken("clinic", 7_000); n != 6_000 {
		t.Errorf("a minute later: %d requests were taken", n)
	}
}

// TestAccessTokenBound: an access token of ours has at most 7 KiB. One byte more in its claims, and the app is told to
// ask for fewer scopes.
func TestAccessTokenBound(t *testing.T) {
	const (
		largest = 7 << 10
		// most is the size of the claims of the largest one: in base64url they have 464 bytes less, which are for
		// the header, the signature and two dots.
		most = (largest - 464) / 4 * 3
	)
	r, person := launching(t)
	exchange := func(id, scope string) answer {
		t.Helper()
		q := appRequest()
		q.Set("client_id", id)
		q.Set("scope", scope)
		back := standalone(t, person, "pat", q)
		location, err := url.Parse(back.Header.Get("Location"))
		if err != nil || location.Query().Get("code") == "" {
			t.Fatalf("%s %v", location, err)
		}
		return r.appToken(t, url.Values{"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"}, "client_id": {id}, "code_verifier": {appVerifier}}, nil)
	}
	claimsOf := func(token string) int {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		return len(text)
	}
	// more are scopes of n bytes, with a space before each.
	more := func(n int) (text string) {
		for letter := 'a'; n > 0; letter++ {
			one := " patient/Observation.rs?x="
			size := 200
			if n < 2*size {
				size = n
			}
			text, n = text+one+strings.Repeat(string(letter), size-len(one)), n-size
		}
		return text
	}
	const scope = "patient/Observation.rs"
	tried := map[int]bool{}
	for _, id := range []string{"bound", "bound1"} { // the scopes stand twice in the claims, and the client id once
		r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps", body: strings.Replace(publicApp, "growth-chart", id, 1)}).want(t, http.StatusCreated, "")
		small := readIssued(t, exchange(id, scope))
		for _, size := range []int{most, most + 1} {
			missing := size - claimsOf(small.Access)
			if missing%2 != 0 {
				continue
			}
			tried[size] = true
			a := exchange(id, scope+more(missing/2))
			if size > most {
				a.want(t, http.StatusBadRequest, "invalid_scope")
				continue
			}
			if large := readIssued(t, a); claimsOf(large.Access) != size || len(large.Access) > largest || len(large.Access) < largest-100 {
				t.Errorf("claims of %d bytes, and a token of %d", claimsOf(large.Access), len(large.Access))
			}
		}
	}
	if len(tried) != 2 {
		t.Errorf("the sizes that were tried: %v", tried)
	}
}
