package launch

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/store"
)

// beginning is a rig with the apps of asking, and a request that "one" may make.
func beginning(t *testing.T) (*rig, url.Values) {
	t.Helper()
	_, request := asking(t, `{"tokens":"fhirlink"}`)
	d := newRig()
	d.put(t, `{"tokens":"fhirlink"}`)
	d.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid","offline_access","patient/*.rs"],"authorizationResponseIss":true}`)
	return d, request
}

// rowsOf returns all short-lived rows.
func (d *rig) rowsOf(t *testing.T) []store.Row {
	t.Helper()
	var all []store.Row
	for bucket := d.now.Unix()/600 - 1; bucket <= d.now.Unix()/600+10; bucket++ {
		for shard := range 16 {
			rows, err := d.rows.List(t.Context(), fmt.Sprintf("t%08x-%x", bucket, shard), "", "", 100)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rows...)
		}
	}
	return all
}

func TestBegin(t *testing.T) {
	d, request := beginning(t)
	request = with(request, "scope=patient/Observation.r openid offline_access", "nonce=canary-nonce", "prompt=login", "login_hint=ada@example.org", "state=canary-state")
	begun, err := d.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	state := query.Get("state")
	for name, want := range map[string]string{
		"client_id": "22222222-2222-4222-8222-222222222222", "response_type": "code", "response_mode": "query", "redirect_uri": issuer + "/callback", "scope": "openid profile offline_access", "code_challenge_method": "S256", "prompt": "login", "login_hint": "ada@example.org",
	} {
		if query.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, query.Get(name), want)
		}
	}
	if u.Scheme+"://"+u.Host+u.Path != "https://login.example/"+orgA+"/oauth2/v2.0/authorize" || len(query) != 11 || len(state) != 32 || len(query.Get("nonce")) < 20 || len(query.Get("code_challenge")) != 43 || query.Get("code_challenge") == challenge {
		t.Errorf("%s", begun.URL)
	}
	c := begun.Cookie
	if c.Name != "__Host-smart-"+state[24:] || c.Value != state || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 600 || c.Domain != "" {
		t.Errorf("%v", c)
	}
	rows := d.rowsOf(t)
	if len(rows) != 1 || !strings.HasPrefix(rows[0].Name, "r_") {
		t.Fatalf("%v", rows)
	}
	text := rows[0].Name + rows[0].Value
	for _, canary := range []string{state, "canary", "app.example", "Observation", challenge, query.Get("nonce"), "one"} {
		if strings.Contains(text, canary) {
			t.Errorf("the row shows %s", canary)
		}
	}
	again, err := d.Authorize(t.Context(), slug, request)
	if err != nil || again.Cookie.Value == state || len(d.rowsOf(t)) != 2 {
		t.Errorf("two requests are one: %v", err)
	}
	if plain, err := d.Authorize(t.Context(), slug, with(request, "scope=openid", "-prompt", "-login_hint")); err != nil || strings.Contains(plain.URL, "offline") || strings.Contains(plain.URL, "prompt") || strings.Contains(plain.URL, "login_hint") {
		t.Errorf("%s, %v", plain.URL, err)
	}
}

// TestBeginFails: the app is told at its own address; who is unknown is told here.
func TestBeginFails(t *testing.T) {
	d, request := beginning(t)
	if _, err := d.Authorize(t.Context(), "another", request); !errors.Is(err, smartauth.ErrUnknown) {
		t.Error(err)
	}
	var shown *Shown
	if _, err := d.Authorize(t.Context(), slug, with(request, "client_id=two")); !errors.As(err, &shown) {
		t.Error(err)
	}
	refused := func(want string) {
		t.Helper()
		_, err := d.Authorize(t.Context(), slug, request)
		var r *Refused
		if !errors.As(err, &r) || r.Code != want || r.State != "a b&c" || r.Issuer != issuer || strings.Contains(r.Location(), "canary") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	d.rows.Fault = func(op string, _ store.Key, before bool) error {
		if op == "Swap" && before {
			return fmt.Errorf("%w: canary", store.ErrUnavailable)
		}
		return nil
	}
	refused("temporarily_unavailable")
	d.rows.Fault = func(op string, _ store.Key, before bool) error {
		if op == "Swap" && before {
			return errors.New("canary")
		}
		return nil
	}
	refused("server_error")
	d.rows.Fault = nil
	d.pass(48 * time.Hour) // the sealing keys that are known are too old
	d.sealing.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
	refused("temporarily_unavailable")
	if rows := d.rowsOf(t); len(rows) != 0 {
		t.Errorf("%v", rows)
	}
	d.pass(time.Hour)
	d.rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
	_, err := d.Authorize(t.Context(), slug, request)
	if problem.CodeOf(err) != problem.UpstreamUnavailable {
		t.Error(err)
	}
}
