package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Issuer is whose access tokens a FHIR server trusts.
type Issuer struct {
	Names    []string // any of them is iss
	Audience string   // aud
	Keys     []jose.JSONWebKey
}

// Claims are what FHIR servers read of an access token, once they trust it.
type Claims struct {
	Scope    string   // of RFC 9068, separated by spaces; Entra has none
	SCP      string   // Entra's: the same, in its spelling
	Roles    []string // of the application
	Patient  string   // id
	FHIRUser string   // reference to the user, or URL
}

// Claims checks the signature of an access token, who made it, for whom and for how long, and returns what
// else it says.
func (i Issuer) Claims(token string, now time.Time) (Claims, error) {
	var claims struct {
		jwt.RegisteredClaims
		Scope    string   `json:"scope"`
		SCP      string   `json:"scp"`
		Roles    []string `json:"roles"`
		Patient  string   `json:"patient"`
		FHIRUser string   `json:"fhirUser"`
	}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(i.Audience), jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }),
	).ParseWithClaims(token, &claims, i.key)
	if err == nil && !slices.Contains(i.Names, claims.Issuer) {
		err = jwt.ErrTokenInvalidIssuer
	}
	return Claims{claims.Scope, claims.SCP, claims.Roles, claims.Patient, claims.FHIRUser}, err
}

// key returns the issuer's key that a token names.
func (i Issuer) key(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	at := slices.IndexFunc(i.Keys, func(k jose.JSONWebKey) bool { return k.KeyID == id })
	if at < 0 {
		return nil, errors.New("no key of the issuer has this kid")
	}
	return i.Keys[at].Key, nil
}

// whyNot says why a token is refused, in the words of ASP.NET's JwtBearer, on which these servers are
// built. It repeats nothing of the token.
func (i Issuer) whyNot(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return fmt.Sprintf("The issuer is invalid, %s is expected", strings.Join(i.Names, " or "))
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return fmt.Sprintf("The audience is invalid, %s is expected", i.Audience)
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return "The token expired, or is not valid yet"
	}
	return "The signature is invalid"
}
