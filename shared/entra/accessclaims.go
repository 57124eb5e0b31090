package entra

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// callerClaims are the claims of a caller's access token
// (https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
type callerClaims struct {
	commonClaims
	AppID  string
	Kind   string  // idtyp: "app" or "user", optional
	Scopes *string // nil: no scp, so an application
	person bool    // whether the token is about a person
}

// commonClaims are the claims that access tokens and ID tokens have in common. Claim names are
// compared exactly, and a name may occur only once (RFC 7519 §4).
type commonClaims struct {
	jwt.MapClaims `json:"-"` // for the parser; empty

	Audience  []string
	Issuer    string
	TenantID  string
	ObjectID  string
	Version   string
	Roles     []string
	Name      string // of the person, or of the application; for people
	Expires   float64
	NotBefore float64

	tenant  string // TenantID in lower case
	expires time.Time
}

// read reads the members that are not nil. targets are further claims by name.
func (c *commonClaims) read(members map[string]json.RawMessage, targets map[string]any) error {
	maps.Copy(targets, map[string]any{
		"aud": (*stringOrList)(&c.Audience), "iss": &c.Issuer, "tid": &c.TenantID, "oid": &c.ObjectID,
		"ver": &c.Version, "roles": &c.Roles, "exp": &c.Expires, "nbf": &c.NotBefore,
	})
	for name, target := range targets {
		if raw, present := members[name]; present && json.Unmarshal(raw, target) != nil {
			return fmt.Errorf("the claim %s has another type", name)
		}
	}
	shown(members, "name", &c.Name)
	return nil
}

// shown reads a claim that is only shown, so that another type is no mistake.
func shown(members map[string]json.RawMessage, name string, target *string) {
	if json.Unmarshal(members[name], target) != nil {
		*target = ""
	}
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
	if err := c.read(members, map[string]any{"azp": &c.AppID, "idtyp": &c.Kind}); err != nil {
		return err
	}
	if raw, present := members["scp"]; present { // even if null: an application's token has no scp at all
		c.Scopes = new(string)
		if json.Unmarshal(raw, c.Scopes) != nil {
			return errors.New("the claim scp has another type")
		}
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
