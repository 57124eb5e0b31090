package webauth_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/webauth"
	"fhirlink/shared/secret"
)

// TestAtTheSandbox redeems what the sandbox Entra issues, with each kind of credential.
func TestAtTheSandbox(t *testing.T) {
	registered, certificate := selfSigned(t)
	_, other := selfSigned(t)
	a := entratest.New(entratest.Tenant{ID: tenant, Apps: []entratest.App{{ClientID: client, Secrets: []entratest.Secret{{Value: password}}, Certificates: []*x509.Certificate{registered}}}})
	a.URL = "https://login.example/"
	s := &webauth.SignIns{Client: a.Client()}
	for name, c := range map[string]struct {
		credential credential.Credential
		number     int
	}{
		"secret":              {credential.ClientSecret{Value: secret.New(password)}, 0},
		"certificate":         {certificate, 0},
		"another secret":      {credential.ClientSecret{Value: secret.New("canary")}, 7000215},
		"another certificate": {other, 700027},
	} {
		as := credentials()
		as.Credential = c.credential
		sealed := a.Code(entratest.SignIn{
			Tenant: tenant, ClientID: client, RedirectURI: callback, Platform: entratest.Web, Challenge: verifier, User: entratest.Account{ObjectID: tenant},
			Scopes: entratest.Scopes{OIDC: []string{"openid", "offline_access"}, Resource: entratest.Graph},
		})
		tokens, err := s.Redeem(t.Context(), as, secret.New(sealed), secret.New(verifier), callback)
		if err == nil {
			tokens, err = s.Refresh(t.Context(), as, tokens.Refresh, "openid offline_access")
		}
		var r *entra.Refusal
		switch {
		case c.number == 0 && (err != nil || tokens.Refresh.IsZero() || tokens.ID.IsZero()):
			t.Errorf("%s: %v", name, err)
		case c.number != 0 && (!errors.As(err, &r) || r.Number != c.number):
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			silent(t, err)
		}
	}
}
