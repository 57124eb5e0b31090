package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/signin"
)

// renewing returns a rig in which Ada has this much time left.
func renewing(t *testing.T, left time.Duration) (*rig, signin.Session) {
	t.Helper()
	r := newRig(t, nil)
	r.signIn("", "ada", "")
	r.now = r.now.Add(time.Hour - left)
	session, err := r.session()
	if err != nil {
		t.Fatal(err)
	}
	return r, session
}

func TestRenewalIsDue(t *testing.T) {
	for _, c := range []struct {
		name, method, target string
		left                 time.Duration
		header               map[string]string
		want                 bool
	}{
		{"soon", "GET", "/api/manage/", 15*time.Minute - time.Second, nil, true},
		{"not yet", "GET", "/api/manage/", 15 * time.Minute, nil, false},
		{"a page with a query", "GET", "/api/manage/?q=clinic&status=active", time.Minute, map[string]string{"Sec-Fetch-Dest": "document"}, true},
		{"a form", "POST", "/api/manage/add", time.Minute, nil, false},
		{"HEAD", "HEAD", "/api/manage/", time.Minute, nil, false},
		{"a fetch", "GET", "/api/manage/servers/a", time.Minute, map[string]string{"Sec-Fetch-Dest": "empty"}, false},
		{"an image", "GET", "/api/manage/", time.Minute, map[string]string{"Sec-Fetch-Dest": "image"}, false},
		{"a frame", "GET", "/api/manage/", time.Minute, map[string]string{"Sec-Fetch-Dest": "iframe"}, false},
		{"a page of the sign-in", "GET", "/api/manage/sign-in?to=x", time.Minute, nil, false},
		{"a long address", "GET", "/api/manage/?q=" + strings.Repeat("a", 500), time.Minute, nil, false},
	} {
		r, session := renewing(t, c.left)
		request := r.request(c.method, c.target, "", false)
		for name, value := range c.header {
			request.Header.Set(name, value)
		}
		begun, ok := r.Renew(request, session)
		if ok != c.want {
			t.Errorf("%s: %v", c.name, ok)
		}
		if !ok {
			continue
		}
		u, err := url.Parse(begun.URL)
		if err != nil || u.Path != "/"+clinic+"/oauth2/v2.0/authorize" || u.Query().Get("prompt") != "none" || u.Query().Get("login_hint") != "O.ADA@CLINIC.SANDBOX.TEST" {
			t.Errorf("%s: %s", c.name, begun.URL)
		}
	}
}

// renew follows a renewal through Entra.
func (r *rig) renew(session signin.Session, target string) signin.Answer {
	r.t.Helper()
	begun, ok := r.Renew(r.request(http.MethodGet, target, "", false), session)
	if !ok {
		r.t.Fatal("no renewal is due")
	}
	r.take(begun.Cookies)
	_, page := r.visit(begun.URL, "")
	return r.answer(r.posted(page))
}

func TestRenews(t *testing.T) {
	r, session := renewing(t, 10*time.Minute)
	const target = "/api/manage/?q=clinic&status=active&sort=slug"
	if a := r.renew(session, target); a.Kind != signin.Done || a.To != target {
		t.Errorf("%+v", a)
	}
	fresh, err := r.session()
	if err != nil || !fresh.Ends.Equal(r.now.Add(time.Hour)) {
		t.Errorf("%v, %v", fresh.Ends, err)
	}
	if _, ok := r.Renew(r.request(http.MethodGet, target, "", false), fresh); ok {
		t.Error("again at once")
	}
}

// What Entra does not do without asking changes nothing: the session goes on, and it is not tried again
// for five minutes.
func TestNotRenewed(t *testing.T) {
	for _, scenario := range []browser.Scenario{
		browser.LoginRequired, browser.InteractionRequired, browser.ConsentMissing, browser.Blocked, browser.Busy, browser.ClockAhead, browser.Forged, browser.Stranger,
	} {
		r, session := renewing(t, 10*time.Minute)
		r.entra.Set(scenario)
		before := r.cookies["__Host-session"].Value
		if a := r.renew(session, "/api/manage/add"); a.Kind != signin.NotRenewed || a.To != "/api/manage/add" {
			t.Errorf("%s: %+v", scenario, a)
		}
		if c := r.cookies["__Host-session"]; c == nil || c.Value != before || len(r.cookies) != 2 {
			t.Errorf("%s: cookies %v", scenario, r.cookies)
		}
		if _, ok := r.Renew(r.request(http.MethodGet, "/api/manage/add", "", false), session); ok {
			t.Errorf("%s: again at once", scenario)
		}
		delete(r.cookies, "__Host-renewed") // after five minutes
		if _, ok := r.Renew(r.request(http.MethodGet, "/api/manage/add", "", false), session); !ok {
			t.Errorf("%s: never again", scenario)
		}
	}
}

// Nobody sees an error because a renewal cannot be decided: the session goes on.
func TestNotRenewedWhileEntraIsDown(t *testing.T) {
	r, session := renewing(t, 10*time.Minute)
	r.entra.Set(browser.KeyRotated) // so that its keys are needed
	r.entra.Authority.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	if a := r.renew(session, "/api/manage/add"); a.Kind != signin.NotRenewed || a.To != "/api/manage/add" || !strings.Contains(r.log.String(), "503") {
		t.Errorf("%+v, log %s", a, r.log)
	}
}

// The account at Entra is another one meanwhile: the session stays Ada's.
func TestRenewalForAnother(t *testing.T) {
	r, session := renewing(t, 10*time.Minute)
	r.person.AtEntra = map[string]*http.Cookie{}
	if a := r.renew(session, "/api/manage/"); a.Kind != signin.NotRenewed {
		t.Errorf("nobody at Entra: %+v", a)
	}
	delete(r.cookies, "__Host-renewed")
	begun, ok := r.Renew(r.request(http.MethodGet, "/api/manage/", "", false), session)
	if !ok {
		t.Fatal("not due")
	}
	r.take(begun.Cookies)
	_, page := r.visit(begun.URL, "user=nobody")
	if a := r.answer(r.posted(page)); a.Kind != signin.NotRenewed {
		t.Errorf("%+v", a)
	}
	if now, err := r.session(); err != nil || now.ObjectID != ada {
		t.Errorf("%+v, %v", now, err)
	}
}

// A renewal that is never answered is not begun with each click.
func TestRenewalThatIsNotAnswered(t *testing.T) {
	r, session := renewing(t, 10*time.Minute)
	begun, ok := r.Renew(r.request(http.MethodGet, "/api/manage/", "", false), session)
	if !ok {
		t.Fatal("not due")
	}
	r.take(begun.Cookies)
	if _, ok := r.Renew(r.request(http.MethodGet, "/api/manage/", "", false), session); ok {
		t.Error("begun again")
	}
}
