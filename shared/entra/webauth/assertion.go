package webauth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/credential"
	"fhirlink/shared/secret"
)

// assertionFor is how long an assertion is valid. It begins a little earlier than now, for clocks
// that differ.
const (
	assertionFor  = 5 * time.Minute
	assertionSkew = time.Minute
)

// errCertificate replaces the errors about a PEM text, which might quote the text.
var errCertificate = errors.New("the stored client certificate cannot be read")

// authenticate adds the application's proof of who it is to a form. It returns the secret that the
// form then has.
func authenticate(form url.Values, c credential.Credential, clientID, endpoint string) (sent secret.Value, err error) {
	switch of := c.(type) {
	case credential.ClientSecret:
		form.Set("client_secret", of.Value.Reveal())
		return of.Value, nil
	case credential.Certificate:
		if sent, err = assertion(of, clientID, endpoint); err != nil {
			return sent, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", sent.Reveal())
		return sent, nil
	}
	return sent, fmt.Errorf("a credential of type %T cannot be used", c)
}

// assertion signs an assertion for one request
// (https://learn.microsoft.com/entra/identity-platform/certificate-credentials). The certificate that
// belongs to the key stands first in the text, as package intake has checked.
func assertion(c credential.Certificate, clientID, endpoint string) (secret.Value, error) {
	text := []byte(c.PEM.Reveal())
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return secret.Value{}, errCertificate
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return secret.Value{}, errCertificate
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.RegisteredClaims{
		Issuer: clientID, Subject: clientID, Audience: jwt.ClaimStrings{endpoint}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-assertionSkew)), ExpiresAt: jwt.NewNumericDate(now.Add(assertionFor)),
	})
	thumbprint := sha256.Sum256(pair.Certificate[0])
	token.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(thumbprint[:])
	signed, err := token.SignedString(key)
	if err != nil {
		return secret.Value{}, errCertificate
	}
	return secret.New(signed), nil
}
