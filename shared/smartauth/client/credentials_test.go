package client_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"testing"
	"time"

	"fhirlink/shared/oauth"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
)

// TestSecretOfBasic: the secret in the header Authorization counts form-decoded, as RFC 6749 §2.3.1 wants it, and
// as it was sent, as many clients send it. In a form it counts as the form says.
func TestSecretOfBasic(t *testing.T) {
	hash := func(secret string) string {
		sum := sha256.Sum256([]byte(secret))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	basic := func(secret string) []string {
		return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("app:"+secret))}
	}
	const (
		form    = "with+plus%41and%2Bmore:x" // decodes to what is next
		decoded = "with plusAand+more:x"
		noForm  = "100%+odd"
	)
	by := client.Authenticator{Issuer: func(string) string { return "https://links.example/api/smart/clinic" }, Now: time.Now}
	for _, c := range []struct {
		name, secret string // the app's
		header       []string
		form         url.Values
		right        bool
	}{
		{"encoded", form, basic(url.QueryEscape(form)), nil, true},
		{"as it is, though it can be decoded", form, basic(form), nil, true},
		{"as it is, which cannot be decoded", noForm, basic(noForm), nil, true},
		{"encoded, which could not be decoded as it is", noForm, basic(url.QueryEscape(noForm)), nil, true},
		{"decoded once", decoded, basic(form), nil, true},
		{"never decoded twice", decoded, basic(url.QueryEscape(form)), nil, false},
		{"never encoded", form, basic(decoded), nil, false},
		{"a part of it", form, basic("with+plus%41and%2Bmore"), nil, false},
		{"in the form", form, nil, url.Values{"client_secret": {form}}, true},
		{"in the form, decoded already", form, nil, url.Values{"client_secret": {decoded}}, false},
		{"in the form, encoded twice", decoded, nil, url.Values{"client_secret": {form}}, false},
	} {
		server := smartauth.Server{Apps: []smartauth.App{{ClientID: "app", Type: smartauth.Symmetric, Secrets: []smartauth.AppSecret{{Hash: hash(c.secret)}}}}}
		values := url.Values{"client_id": {"app"}}
		for name, value := range c.form {
			values[name] = value
		}
		credentials, err := client.Read(c.header, values)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		app, err := by.App(t.Context(), server, credentials)
		var told *oauth.Error
		if c.right && (err != nil || app.ClientID != "app") || !c.right && (!errors.As(err, &told) || told.Code != oauth.InvalidClient || told.Status != 401 || (told.Challenge != "") != (c.header != nil)) {
			t.Errorf("%s: %q, %v", c.name, app.ClientID, err)
		}
	}
}
