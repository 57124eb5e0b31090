package launch

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"

	"fhirlink/shared/oauth"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
)

func basicOf(text string) []string {
	return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(text))}
}

func TestCredentials(t *testing.T) {
	d := newRig()
	d.put(t, `{"tokens":"fhirlink"}`)
	app := func(id, kind, more string) {
		d.create(t, `{"clientId":"`+id+`","name":"A","type":"`+kind+`","redirectUris":["https://app.example/"],"scopes":["openid"]`+more+`}`)
	}
	app("public", "public", "")
	app("off", "public", `,"enabled":false`)
	app("a~b", "symmetric", "")
	const odd = "100%+odd:secret%41&client="
	if _, _, _, err := d.smart.NewAppSecret(t.Context(), orgA, slug, "a~b", smartauth.Precondition{}, read[smartauth.NewSecret](t, `{"clientSecret":"`+odd+`"}`)); err != nil {
		t.Fatal(err)
	}
	s, err := d.server(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		header  []string
		form    url.Values
		app     string
		code    string
		status  int
		asBasic bool
	}{
		{"public", nil, url.Values{"client_id": {"public"}}, "public", "", 0, false},
		{"post", nil, url.Values{"client_id": {"a~b"}, "client_secret": {odd}}, "a~b", "", 0, false},
		{"Basic, encoded", basicOf(url.QueryEscape("a~b") + ":" + url.QueryEscape(odd)), nil, "a~b", "", 0, false},
		{"Basic, as it is", basicOf("a~b:" + odd), nil, "a~b", "", 0, false},
		{"Basic, lower case, and the same client_id", []string{"basic " + basicOf("a~b:" + url.QueryEscape(odd))[0][6:]}, url.Values{"client_id": {"a~b"}}, "a~b", "", 0, false},
		{"public with an empty secret, which is none", nil, url.Values{"client_id": {"public"}, "client_secret": {""}}, "public", "", 0, false},
		{"public by Basic", basicOf("public:"), nil, "public", "", 0, false},

		{"nobody", nil, url.Values{}, "", oauth.InvalidClient, 401, false},
		{"unknown", nil, url.Values{"client_id": {"x"}}, "", oauth.InvalidClient, 401, false},
		{"switched off", nil, url.Values{"client_id": {"off"}}, "", oauth.InvalidClient, 401, false},
		{"public with a secret", nil, url.Values{"client_id": {"public"}, "client_secret": {"x"}}, "", oauth.InvalidClient, 401, false},
		{"public by Basic with a secret", basicOf("public:x"), nil, "", oauth.InvalidClient, 401, true},
		{"no secret", nil, url.Values{"client_id": {"a~b"}}, "", oauth.InvalidClient, 401, false},
		{"a wrong secret", nil, url.Values{"client_id": {"a~b"}, "client_secret": {odd + "x"}}, "", oauth.InvalidClient, 401, false},
		{"an empty secret by Basic", basicOf("a~b:"), nil, "", oauth.InvalidClient, 401, true},
		{"a wrong secret by Basic", basicOf("a~b:x"), nil, "", oauth.InvalidClient, 401, true},
		{"another scheme", []string{"Bearer x"}, nil, "", oauth.InvalidClient, 401, true},
		{"no base64", []string{"Basic a:b"}, nil, "", oauth.InvalidClient, 401, true},
		{"no colon", basicOf("a~b"), nil, "", oauth.InvalidClient, 401, true},
		{"two ways", basicOf("a~b:" + odd), url.Values{"client_secret": {odd}}, "", oauth.InvalidRequest, 0, false},
		{"an assertion too", basicOf("a~b:" + odd), url.Values{"client_assertion": {"x"}}, "", oauth.InvalidRequest, 0, false},
		{"the type of an assertion too", basicOf("a~b:" + odd), url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, "", oauth.InvalidRequest, 0, false},
		{"another type too", basicOf("a~b:" + odd), url.Values{"client_assertion_type": {"z"}}, "", oauth.InvalidRequest, 0, false},
		{"a secret and the type", nil, url.Values{"client_id": {"a~b"}, "client_secret": {odd}, "client_assertion_type": {"z"}}, "", oauth.InvalidRequest, 0, false},
		{"a type alone", nil, url.Values{"client_id": {"a~b"}, "client_assertion_type": {"z"}}, "", oauth.InvalidClient, 401, false},
		{"a secret and an assertion", nil, url.Values{"client_id": {"a~b"}, "client_secret": {odd}, "client_assertion": {"x"}}, "", oauth.InvalidRequest, 0, false},
		{"public with an assertion", nil, url.Values{"client_id": {"public"}, "client_assertion": {"x"}, "client_assertion_type": {"z"}}, "", oauth.InvalidClient, 401, false},
		{"two headers", append(basicOf("a~b:"+odd), basicOf("a~b:"+odd)...), nil, "", oauth.InvalidRequest, 0, false},
		{"two clients", basicOf("a~b:" + odd), url.Values{"client_id": {"public"}}, "", oauth.InvalidRequest, 0, false},
	} {
		credentials, err := client.Read(c.header, c.form)
		var found smartauth.App
		if err == nil {
			found, err = d.clients.App(t.Context(), s.Server, credentials)
		}
		var told *oauth.Error
		if c.code == "" && (err != nil || found.ClientID != c.app) || c.code != "" && (!errors.As(err, &told) || told.Code != c.code || told.Status != c.status || (told.Challenge != "") != c.asBasic || strings.Contains(told.Description, "odd")) {
			t.Errorf("%s: %q, %v", c.name, found.ClientID, err)
		}
	}
}

// FuzzBasic: no header and no form makes somebody of nobody.
func FuzzBasic(f *testing.F) {
	f.Add("Basic cHVibGljOg==", "client_id=public")
	f.Add("Basic YTpi", "client_id=a&client_secret=b")
	f.Add("basic  %", "client_assertion=x")
	d := newRig()
	d.put(f, `{"tokens":"fhirlink"}`)
	name, uris, scopes := "A", []string{"https://app.example/"}, []string{"openid"}
	if _, _, _, err := d.smart.CreateApp(f.Context(), orgA, slug, smartauth.NewApp{ClientID: "secret-app", Name: &name, Type: "symmetric", RedirectURIs: &uris, Scopes: &scopes}); err != nil {
		f.Fatal(err)
	}
	s, err := d.server(f.Context(), slug)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header, form string) {
		values, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		for _, headers := range [][]string{nil, {header}} {
			if c, err := client.Read(headers, values); err == nil {
				if a, err := d.clients.App(t.Context(), s.Server, c); err == nil {
					t.Errorf("%q, %q is %s", headers, form, a.ClientID)
				}
			}
		}
	})
}
