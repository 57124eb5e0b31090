package entra

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// callerClaims are the claims of a caller's access token
// (https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference). Claim
// names are compared exactly, and a name may occur only once (RFC 7519 §4).
type callerClaims struct {
	jwt.MapClaims `json:"-"` // for the parser; empty

	Audience  []string
	Issuer    string
	TenantID  string
	ObjectID  string
	AppID     string
	Version   string
	Kind      string  // idtyp: "app" or "user", optional
	Scopes    *string // nil: no scp, so an application
	Roles     []string
	Name      string // of the person, or of the application; for people
	Expires   float64
	NotBefore float64
	person    bool // whether the token is about a person

	tenant  string // TenantID in lower case
	expires time.Time
}

// fromApp reports whether a token without scp may belong to an application. An ID token has no
// scp either, but it is about a person
// (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
func (c *callerClaims) fromApp() bool {
	if c.Kind != "" {
		return c.Kind == "app"
	}
	return !c.person && (c.AppID != "" || c.ObjectID != "")
}

func (c *callerClaims) scopes() []string {
	if c.Scopes == nil {
		return nil
	}
	return strings.Fields(*c.Scopes)
}

// personal lists claims that occur in ID tokens and in users' access tokens, but never in the
// tokens of applications.
var personal = []string{"nonce", "preferred_username", "upn", "email", "name", "at_hash", "c_hash"}

// UnmarshalJSON reads the payload of a token.
func (c *callerClaims) UnmarshalJSON(data []byte) error {
	members, err := distinct(data)
	if err != nil {
		return err
	}
	for name, target := range map[string]any{
		"aud": (*stringOrList)(&c.Audience), "iss": &c.Issuer, "tid": &c.TenantID, "oid": &c.ObjectID,
		"azp": &c.AppID, "ver": &c.Version, "idtyp": &c.Kind, "roles": &c.Roles, "exp": &c.Expires, "nbf": &c.NotBefore,
	} {
		if raw, present := members[name]; present && json.Unmarshal(raw, target) != nil {
			return fmt.Errorf("the claim %s has another type", name)
		}
	}
	if raw, present := members["scp"]; present { // even if null: an application's token has no scp at all
		c.Scopes = new(string)
		if json.Unmarshal(raw, c.Scopes) != nil {
			return errors.New("the claim scp has another type")
		}
	}
	if raw, present := members["name"]; present {
		_ = json.Unmarshal(raw, &c.Name) // only shown, so that another type is no mistake
	}
	c.person = slices.ContainsFunc(personal, func(name string) bool { return members[name] != nil })
	return nil
}

// distinct splits a JSON object into its members. A name that occurs twice is an error.
func distinct(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("the claims are not an object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // between { and : the decoder returns strings only
		if _, twice := members[name]; twice {
			return nil, errors.New("a claim comes twice")
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		members[name] = raw
	}
	return members, nil
}
