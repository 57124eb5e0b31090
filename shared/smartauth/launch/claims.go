package launch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
)

const (
	idTokenLife = 10 * time.Minute
	// maxAccessToken bounds an access token, in bytes: servers and proxies refuse long headers.
	maxAccessToken = 7 << 10
	// aroundClaims is what a token has besides its claims: the header, two dots and the signature of an
	// RSA key of 2048 bits.
	aroundClaims = 120 + 2 + 342
)

// Grant is what an app was given for a user.
type Grant struct {
	secret.Hidden

	ID       string // random
	User     User
	Scopes   []string
	Context  Launched
	Audience string // the FHIR base that the app knows the server by
}

// refreshes reports whether the grant outlives its first access token.
func (g Grant) refreshes() bool { return g.has("offline_access") || g.has("online_access") }

// has reports whether a scope was granted.
func (g Grant) has(scope string) bool { return slices.Contains(g.Scopes, scope) }

// subjectOf is who a user is for the apps of a link: the same for all of them, and another one elsewhere.
func subjectOf(linkID, objectID string) string {
	sum := sha256.Sum256([]byte("fhirlink subject\n" + linkID + "\n" + objectID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// idToken are the claims of an id token (OpenID Connect Core §2; SMART App Launch 2.2, "fhirUser").
type idToken struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	Nonce    string `json:"nonce,omitempty"`
	FHIRUser string `json:"fhirUser,omitempty"`
	Name     string `json:"name,omitempty"`
	Username string `json:"preferred_username,omitempty"`
	Email    string `json:"email,omitempty"`
}

func (s server) idToken(issuer string, a smartauth.App, g Grant, nonce string, now time.Time) idToken {
	t := idToken{Issuer: issuer, Subject: subjectOf(s.Link.ID, g.User.ObjectID), Audience: a.ClientID, Expires: now.Add(idTokenLife).Unix(), IssuedAt: now.Unix(), Nonce: nonce}
	if g.has("fhirUser") {
		t.FHIRUser = g.Audience + "/" + g.User.FHIRUser
	}
	if g.has("profile") {
		t.Name, t.Username = g.User.Name, g.User.Username
	}
	if g.has("email") {
		t.Email = g.User.Email
	}
	return t
}

// accessToken are the claims of an access token (RFC 9068). FHIR servers read the scopes from scope or
// from scp, and the patient from patient or, Microsoft's, from fhirUser.
type accessToken struct {
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	Subject   string   `json:"sub"`
	Expires   int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ID        string   `json:"jti"`
	ClientID  string   `json:"client_id"`
	Party     string   `json:"azp"`
	Tenant    string   `json:"tid"`
	Roles     []string `json:"roles,omitempty"`
	Scope     string   `json:"scope"`
	SCP       string   `json:"scp"`
	Patient   string   `json:"patient,omitempty"`
	Encounter string   `json:"encounter,omitempty"`
	FHIRUser  string   `json:"fhirUser,omitempty"`
	Grant     string   `json:"gid,omitempty"`
}

// tokenLife is how long an access token for a user is good.
func (s server) tokenLife() time.Duration {
	return time.Duration(s.Settings.TokenSeconds) * time.Second
}

// accessToken is false if the token would be too large. Without a user its subject is the app (RFC 9068
// §2.2).
func (s server) accessToken(issuer, id string, a smartauth.App, g Grant, now time.Time, life time.Duration) (accessToken, bool) {
	scope, subject := strings.Join(g.Scopes, " "), a.ClientID
	if g.User.ObjectID != "" {
		subject = subjectOf(s.Link.ID, g.User.ObjectID)
	}
	t := accessToken{
		Issuer: issuer, Audience: s.Settings.Audience(s.Link), Subject: subject, Expires: now.Add(life).Unix(), IssuedAt: now.Unix(), NotBefore: now.Unix(),
		ID: id, ClientID: a.ClientID, Party: s.Settings.ServerClientID, Tenant: s.Link.TenantID, Roles: *s.Settings.AccessTokenRoles, Scope: scope, SCP: scope, Patient: g.Context.Patient, Encounter: g.Context.Encounter, Grant: g.ID,
	}
	switch forPatient := slices.ContainsFunc(g.Scopes, func(one string) bool { return strings.HasPrefix(one, "patient/") }); {
	case s.Settings.Compartment == smartauth.ByFHIRUser && forPatient && g.Context.Patient != "": // the server looks for the patient there
		t.FHIRUser = s.Link.FHIRServerURL + "/Patient/" + g.Context.Patient
	case g.User.FHIRUser != "":
		t.FHIRUser = s.Link.FHIRServerURL + "/" + g.User.FHIRUser
	}
	text, err := json.Marshal(t)
	return t, err == nil && base64.RawURLEncoding.EncodedLen(len(text))+aroundClaims <= maxAccessToken
}
