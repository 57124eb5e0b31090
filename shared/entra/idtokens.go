package entra

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"strings"
)

// Person is who an ID token is about.
type Person struct {
	Tenant    string // tid, lower case: the organization that the person has signed in to
	ObjectID  string // oid
	Name      string // for people; printable, at most 64 characters, may be empty
	Username  string // preferred_username, for people: it can change, and belongs to nobody for good
	LoginHint string // an optional claim that names the account to Entra; may be empty
	Roles     []string
}

// IDTokens validates ID tokens of version 2 that a browser brings.
type IDTokens struct {
	*issuer
	clientID string
}

// IDTokens returns a validator of ID tokens for the application with this client id, which shares
// keys, clock and allowed tenants with c.
func (c *AccessTokens) IDTokens(clientID string) *IDTokens {
	return &IDTokens{c.issuer, strings.ToLower(clientID)}
}

// TenantNotAllowed means that a token is valid, and its tenant is none of those that may sign in.
type TenantNotAllowed struct {
	Tenant string // GUID, lower case
}

// Error names the tenant.
func (e *TenantNotAllowed) Error() string { return "the tenant " + e.Tenant + " may not sign in" }

// Validate validates an ID token of a sign-in that began with this nonce (OpenID Connect Core §3.2.2.11).
//
// Errors: *caller.Refused when the token is not valid (with ErrUntimely if only its time is not),
// *TenantNotAllowed, *Unreachable when the signing keys cannot be fetched.
func (t *IDTokens) Validate(ctx context.Context, token, nonce string) (Person, error) {
	var claims idClaims
	key, err := t.parse(ctx, token, &claims)
	if err == nil {
		err = t.checkID(&claims, key, t.clientID, nonce)
	}
	if err != nil {
		return Person{}, err
	}
	if !t.allowed(claims.tenant) {
		return Person{}, &TenantNotAllowed{claims.tenant}
	}
	return Person{
		Tenant: claims.tenant, ObjectID: strings.ToLower(claims.ObjectID), Name: printable(claims.Name, maxName),
		Username: claims.Username, LoginHint: claims.LoginHint, Roles: claims.Roles,
	}, nil
}

// ErrOtherSignIn means that a token is not of the sign-in that began here. It is a *caller.Refused. Whoever signs in can
// bring it about: the nonce is in the address of Entra's page.
var ErrOtherSignIn = refuse("the token was not issued for this sign-in (nonce)")

// checkID validates an ID token of a sign-in at an application. key has signed the token.
func (v *verifier) checkID(claims *idClaims, key signingKey, clientID, nonce string) error {
	if claims.Version != "2.0" {
		return refuse("the token has version '%.10s', needed is 2.0", claims.Version)
	}
	// An access token for us has the same issuer, keys and audience as an ID token, so these come first.
	switch {
	case claims.scp:
		return refuse("the token is an access token (scp), not an ID token")
	case claims.Nonce == "" || nonce == "" || subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(nonce)) != 1:
		return ErrOtherSignIn
	case len(claims.Audience) != 1 || claims.Audience[0] != clientID:
		return refuse("the token is for another application (aud)")
	case !IsGUID(claims.ObjectID):
		return refuse("the token does not say who signed in (oid)")
	}
	return v.check(&claims.commonClaims, key)
}

// idClaims are the claims of an ID token
// (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
type idClaims struct {
	commonClaims
	Nonce     string
	Username  string
	LoginHint string
	Email     string
	scp       bool // there is a claim scp

	all map[string]json.RawMessage
}

// UnmarshalJSON reads the payload of a token.
func (c *idClaims) UnmarshalJSON(data []byte) error {
	members, err := distinct(data)
	if err != nil {
		return err
	}
	if err := c.read(members, map[string]any{"nonce": &c.Nonce}); err != nil {
		return err
	}
	shown(members, "preferred_username", &c.Username)
	shown(members, "login_hint", &c.LoginHint)
	shown(members, "email", &c.Email)
	_, c.scp = members["scp"]
	c.all = members
	return nil
}
