package entratest

import (
	"crypto/sha1" // x5t is a SHA-1 thumbprint by RFC 7515 §4.1.7
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var errNoCertificate = errors.New("the assertion is not signed with a key that is registered")

// checkAssertion verifies a JWT that is signed with the key of a registered certificate (RFC 7523
// §3, https://learn.microsoft.com/entra/identity-platform/certificate-credentials).
func checkAssertion(t Tenant, app App, kind, assertion string, now time.Time) *refusal {
	if kind != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return missing("client_assertion_type")
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "PS256"}), jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithExpirationRequired(), jwt.WithIssuer(app.ClientID), jwt.WithSubject(app.ClientID),
	)
	var claims jwt.RegisteredClaims
	_, err := parser.ParseWithClaims(assertion, &claims, func(token *jwt.Token) (any, error) {
		for _, c := range app.Certificates {
			if namesCertificate(token.Header, c) {
				return c.PublicKey, nil
			}
		}
		return nil, errNoCertificate
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return &refusal{http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range."}
	case err != nil:
		return &refusal{http.StatusUnauthorized, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]"}
	case len(claims.Audience) != 1 || !strings.Contains(claims.Audience[0], "/"+t.ID+"/"):
		return &refusal{http.StatusUnauthorized, "invalid_client", 50027, "JWT token is invalid or malformed."}
	}
	return nil
}

// namesCertificate reports whether the header names the certificate by its thumbprint.
func namesCertificate(header map[string]any, c *x509.Certificate) bool {
	old, thumb := sha1.Sum(c.Raw), sha256.Sum256(c.Raw)
	x5t, _ := header["x5t"].(string)
	x5t256, _ := header["x5t#S256"].(string)
	return x5t == base64.StdEncoding.EncodeToString(old[:]) || x5t == base64.RawURLEncoding.EncodeToString(old[:]) ||
		x5t256 == base64.RawURLEncoding.EncodeToString(thumb[:]) || x5t256 == base64.StdEncoding.EncodeToString(thumb[:])
}
