package sandbox_test

import (
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/signin"
)

// TestPeopleSignIn signs Ada in over the network: at the sandbox's site, with keys that come from its
// authority.
func TestPeopleSignIn(t *testing.T) {
	const public = "http://localhost:7071"
	box, err := sandbox.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() }) // closed below, too
	site, err := box.OpenToBrowsers(public)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(site.URL, "http://127.0.0.1:") {
		t.Errorf("the site %s", site.URL)
	}
	tokens := entra.NewAccessTokens(entra.AccessTokensConfig{Authority: sandbox.Authority, Tenants: sandbox.Tenants(), Client: box.Entra.Client()})
	log := slog.New(slog.DiscardHandler)
	service := signin.New(signin.Config{
		PublicURL: public, Authority: site.URL, ClientID: sandbox.APIClientID, Tenants: sandbox.Tenants(),
		Flow: signin.IDToken{Tokens: tokens.IDTokens(sandbox.APIClientID)}, Log: log,
		Sealer: &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", secrettest.New(), nil, log), PublicURL: public},
	})
	begin, err := http.NewRequest(http.MethodGet, service.SignInURL("/api/manage/add", "", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := service.Start(begin)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	if page := read(t, browser, begun.URL, nil); !strings.Contains(page, "Pick an account") || !strings.Contains(page, "ada@clinic.sandbox.test") {
		t.Errorf("the page %s", page)
	}
	page := read(t, browser, begun.URL, url.Values{"user": {"ada"}})
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	answer, err := http.NewRequest(http.MethodPost, public+signin.SignedIn, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	answer.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range begun.Cookies {
		answer.AddCookie(c)
	}
	got, err := service.Answer(answer)
	if err != nil || got.Kind != signin.Done || got.To != "/api/manage/add" || !caller.Manage.HeldBy(service.Caller(got.Session)) || got.Session.Tenant != sandbox.TenantID {
		t.Errorf("%+v, %v", got, err)
	}
	if page := read(t, browser, begun.URL, nil); !strings.Contains(page, `name="id_token"`) {
		t.Errorf("Ada is asked again: %s", page)
	}
	if err := box.Close(); err != nil {
		t.Error(err)
	}
	if _, err := browser.Get(begun.URL); err == nil {
		t.Error("the site answers after Close")
	}
}

func read(t *testing.T, client *http.Client, address string, form url.Values) string {
	t.Helper()
	send := func() (*http.Response, error) { return client.Get(address) }
	if form != nil {
		send = func() (*http.Response, error) { return client.PostForm(address, form) }
	}
	response, err := send()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
