package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fhirlink/shared/signin"
)

func TestTarget(t *testing.T) {
	good := []string{
		"/api/manage/", "/api/manage/add", "/api/manage/servers/good-health-clinic", "/api/manage/servers/good-health-clinic/edit",
		"/api/manage/about", "/api/manage/close", "/api/manage/?q=&status=&sort=&page=2", "/api/manage/?lang=de",
		"/api/manage/add?slug=a-b&description=Clinic%20%C3%9Cber&lang=de", "/api/manage/?q=a+b%26c%2Fd", "/api/manage/scopes?scope=patient/Observation.rs",
		"/api/manage/add?description=" + strings.Repeat("a", 500-len("/api/manage/add?description=")),
	}
	for _, to := range good {
		if got := signin.Target(to); got != to {
			t.Errorf("%s became %s", to, got)
		}
	}
	hostile := []string{
		"", " ", "/", "/api/manage", "api/manage/", "/api/", "/api/links", "/api/manage2/", "/API/manage/", "/Api/Manage/", "/api/manage/add?description=" + strings.Repeat("a", 501-len("/api/manage/add?description=")),
		// other places
		"//evil", "//evil.example/api/manage/", "///evil.example", "/\\evil", "\\evil", "\\\\evil.example", "/\\/evil.example", "https://evil.example/", "https:/api/manage/", "https:evil.example",
		"http://links.contoso.com/api/manage/", "https://links.contoso.com/api/manage/", "https://links.contoso.com@evil.example/api/manage/", "//links.contoso.com/api/manage/", "javascript:alert(1)", "data:text/html,x",
		"mailto:a@b", "evil.example/api/manage/", "@evil.example", ".evil.example", ":8443/api/manage/", "?to=/api/manage/", "#/api/manage/",
		// segments
		"/api/manage/..", "/api/manage/../", "/api/manage/../..", "/api/manage/../../evil", "/api/manage/./", "/api/manage/.", "/api/manage/a/../../../evil", "/api/manage/servers/..", "/api/manage//evil", "/api/manage//",
		"/api/manage/a//b", "/api/manage/\\evil", "/api/manage/..\\..", "/api/manage\\..\\evil", "/api/./manage/", "/api/x/../manage/", "/./api/manage/", "//api/manage/",
		// escapes
		"%2f%2fevil", "/%2fevil", "/%5cevil", "/api/manage/%2e%2e", "/api/manage/%2E%2E/%2E%2E", "/api/manage/%2e%2e%2fevil", "/api/manage/..%2f..", "/api/manage/%252e%252e", "/api/manage/%5c%5cevil", "/api/manage/%00",
		"/api/manage/%0d%0aLocation:%20https://evil", "/api%2fmanage/", "%2fapi%2fmanage%2f", "/api/manage/%61dd", "/api/manage/%zz", "/api/manage/%", "/api/manage/%u002e", "/api/manage/?q=%", "/api/manage/?q=%zz",
		"/api/manage/%c0%ae%c0%ae", "/api/manage/?q=%0d%0aSet-Cookie:x", "/api/manage/?q=%00",
		// characters
		"/api/manage/\r\nLocation: https://evil", "/api/manage/\n", "/api/manage/\t", "\t/api/manage/", " /api/manage/", "/api/manage/ ", "/\t/evil", "/\n/evil", "/api/manage/\x00", "/api/manage/ä", "/api/manage/\u2025", "/api/manage/\uff0e\uff0e",
		"/api/manage/a;b", "/api/manage/<script>", "/api/manage/\"x", "/api/manage/?q=\"><script>", "/api/manage/?q= x", "/api/manage/?q=ä", "/api/manage/?q=\\x", "/api/manage/?q=//evil", "/api/manage/#//evil", "/api/manage/add#x",
		"/api/manage/?q=x#y", "/\u2215evil", "/api/manage/:80", "/api/manage/@evil",
		// pages of the sign-in
		"/api/manage/sign-in", "/api/manage/sign-in?to=/api/manage/", "/api/manage/sign-in/", "/api/manage/signed-in", "/api/manage/sign-out", "/api/manage/signed-out", "/api/manage/consented", "/api/manage/Sign-In", "/api/manage/SIGNED-IN?x",
		// no pages to stay on
		"/api/manage/servers/a-1/report.json", "/api/manage/servers.csv", "/api/manage/assets/x/script.js", "/api/manage/assets/", "/api/manage/discover",
	}
	if len(hostile) < 100 {
		t.Errorf("only %d", len(hostile))
	}
	for _, to := range hostile {
		if got := signin.Target(to); got != signin.Base {
			t.Errorf("%q is a target", to)
		}
		r := newRig(t, nil)
		_, page := r.visit(r.start("to="+url.QueryEscape(to)), "user=ada")
		if a := r.answer(r.posted(page)); a.Kind != signin.Done || a.To != signin.Base {
			t.Errorf("%q: %+v", to, a)
		}
	}
}

// FuzzTarget: whatever is asked for, a browser stays below our pages.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/api/manage/", "/api/manage/..", "//evil", "/api/manage/?q=%2f", "/api/manage/\\"} {
		f.Add(seed)
	}
	base, err := url.Parse(public + signin.Base)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, to string) {
		u, err := base.Parse(signin.Target(to))
		if err != nil || u.Scheme+"://"+u.Host != public || !strings.HasPrefix(u.EscapedPath(), signin.Base) || strings.Contains(u.Path, "..") && strings.Contains(u.Path, "/../") {
			t.Errorf("%q leads to %v, %v", to, u, err)
		}
	})
}

// TestSizes: at their largest, our cookies and a long address fit the 10,240 bytes that API Gateway
// lets headers have, and a session has at most 2,500.
func TestSizes(t *testing.T) {
	r := newRig(t, nil)
	largest := func(name, username string, hint bool) {
		t.Helper()
		r.entra.Users[0].Name, r.entra.Users[0].Username = name, username
		a := r.signIn("", r.entra.Users[0].Short(), "")
		if a.Kind != signin.Done {
			t.Fatalf("%+v", a)
		}
		c := r.cookies["__Host-session"]
		if size := len(c.Name) + 1 + len(c.Value); size > 2500 {
			t.Errorf("%.10s: a session of %d bytes", name, size)
		}
		session, err := r.session()
		if err != nil || session.ObjectID != ada || len(session.Roles) != 1 || (session.LoginHint != "") != hint || len([]rune(session.Name)) > 64 || len(session.Username) > 256 {
			t.Errorf("%.10s: %+v, %v", name, session, err)
		}
	}
	largest(strings.Repeat("\U00010348", 80), strings.Repeat("\U00010348", 300), false)
	largest(strings.Repeat("\"", 80), strings.Repeat("\\", 300), true)
	largest("Ada", strings.Repeat("a", 1024-2), true)
	largest("Ada", strings.Repeat("a", 1024-1), false)                   // a hint that is too long
	largest(strings.Repeat("\"", 64), strings.Repeat("\"", 1000), false) // bounds hold, but escapes double it
	largest(strings.Repeat("ä", 64), strings.Repeat("ü", 128)+"@x", true)
	largest("\u202eadA\n", "ada\r\n@x", true)
	largest(strings.Repeat("\U00010348", 80), strings.Repeat("~", 1000), true)

	for range 3 {
		r.start("to=" + url.QueryEscape("/api/manage/?q="+strings.Repeat("&", 500-len("/api/manage/?q="))))
	}
	r.cookies["__Host-renewed"] = &http.Cookie{Name: "__Host-renewed", Value: "1"}
	r.cookies["__Host-lang"] = &http.Cookie{Name: "__Host-lang", Value: "de"}
	r.cookies["__Host-theme"] = &http.Cookie{Name: "__Host-theme", Value: "dark"}
	request := r.request(http.MethodGet, "/api/manage/?q="+strings.Repeat("a", 2000), "", false)
	for name, value := range map[string]string{ // of Chromium
		"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
		"Accept-Encoding": "gzip, deflate, br, zstd", "Accept-Language": "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "Referer": public + signin.Base,
		"Sec-Ch-Ua": `"Chromium";v="149", "Not)A;Brand";v="24", "Google Chrome";v="149"`, "Sec-Ch-Ua-Mobile": "?0", "Sec-Ch-Ua-Platform": `"Windows"`, "Sec-Fetch-Dest": "document",
		"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-User": "?1", "Upgrade-Insecure-Requests": "1",
		"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36",
	} {
		request.Header.Set(name, value)
	}
	size := len("GET  HTTP/1.1\r\nHost: links.contoso.com\r\n") + len(request.RequestURI)
	for name, values := range request.Header {
		for _, value := range values {
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	t.Logf("all headers: %d bytes, cookies: %d", size, len(request.Header.Get("Cookie")))
	if size > 10_240 {
		t.Errorf("%d bytes", size)
	}
}
