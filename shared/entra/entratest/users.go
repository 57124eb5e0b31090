package entratest

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"
)

// Account is a user as the tokens of an application describe them.
type Account struct {
	ObjectID string
	Name     string
	Username string
	Email    string         // empty: none
	Claims   map[string]any // further claims of ID tokens, as fhirUser
	// AccessClaims are further claims of access tokens for resources, as roles of the resource and fhirUser.
	AccessClaims map[string]any
}

// SignIn is the sign-in of a user at an application, as the authorization endpoint has found it in
// order. See [Authority.Code].
type SignIn struct {
	Tenant      string
	ClientID    string
	RedirectURI string
	Platform    Platform // of the redirect URI
	Scopes      Scopes
	Nonce       string `json:",omitempty"`
	Challenge   string `json:",omitempty"` // code_challenge
	Method      string `json:",omitempty"` // code_challenge_method
	User        Account

	Changed map[string]any `json:",omitempty"` // claims of the ID token that are not as usual; nil removes one
	Forged  bool           `json:",omitempty"` // the ID token is signed with a key that is not published
}

// who names a user at an application of a tenant.
type who struct{ tenant, client, oid string }

func (s SignIn) who() who { return who{s.Tenant, s.ClientID, s.User.ObjectID} }

// people is what the authority knows about users, beside who they are. Authority.mu guards it.
type people struct {
	consents  map[who]map[string][]string // scopes by resource
	withdrawn map[who]bool                // since the user's last sign-in there
	disabled  map[string]bool             // by object id
	revoked   map[string]uint64           // by object id: the last grant that a new password ended
	grants    uint64                      // how many there were
	redeemed  map[string]time.Time        // codes by id
}

func newPeople() people {
	return people{map[who]map[string][]string{}, map[who]bool{}, map[string]bool{}, map[string]uint64{}, 0, map[string]time.Time{}}
}

// Disable disables the account of a user, by object id, or enables it again. Meanwhile codes and
// refresh tokens are refused with AADSTS50057.
func (a *Authority) Disable(objectID string, disabled bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.people.disabled[objectID] = disabled
}

// Disabled reports whether the account of a user is disabled.
func (a *Authority) Disabled(objectID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.people.disabled[objectID]
}

// ChangePassword gives a user, by object id, another password. All codes and refresh tokens from before
// are refused with AADSTS50173.
func (a *Authority) ChangePassword(objectID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.people.revoked[objectID] = a.people.grants
}

// WithdrawConsent takes back what a user, by object id, has consented to at an application. Codes and
// refresh tokens are refused with AADSTS65001 until the user signs in there again, whatever an
// administrator has consented to.
func (a *Authority) WithdrawConsent(tenantID, clientID, objectID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := who{tenantID, clientID, objectID}
	delete(a.people.consents, at)
	a.people.withdrawn[at] = true
}

// Consented reports whether nobody has to be asked before a user signs in at an application with these
// scopes. For .default there must be consent for some scope of the resource.
func (a *Authority) Consented(tenantID, clientID, objectID string, s Scopes) bool {
	app, _ := a.App(tenantID, clientID) // of none, nothing is consented
	held := a.consented(app, who{tenantID, clientID, objectID}, s.Resource)
	return !slices.ContainsFunc(s.Names, func(name string) bool {
		return !slices.Contains(held, name) && (name != allConsented || len(held) == 0)
	})
}

// consented returns the scopes of a resource that an administrator or the user has consented to.
func (a *Authority) consented(app App, at who, resource string) (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.people.withdrawn[at] {
		return nil
	}
	for _, name := range slices.Concat(app.Consented[resource], a.people.consents[at][resource]) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// consent remembers what a user consents to by signing in. It returns the number of the new grant.
func (a *Authority) consent(s SignIn) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := s.who()
	held := a.people.consents[at]
	if held == nil {
		held = map[string][]string{}
		a.people.consents[at] = held
	}
	for _, name := range s.Scopes.OIDC {
		if name != offlineAccess {
			held[Graph] = appendNew(held[Graph], name)
		}
	}
	for _, name := range s.Scopes.Names {
		if name != allConsented {
			held[s.Scopes.Resource] = appendNew(held[s.Scopes.Resource], name)
		}
	}
	delete(a.people.withdrawn, at)
	a.people.grants++
	return a.people.grants
}

// IDToken signs an ID token at a time
// (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
func (a *Authority) IDToken(s SignIn, now time.Time) string {
	begins := now.Add(-5 * time.Minute).Unix()
	sub := sha256.Sum256([]byte(s.ClientID + " " + s.User.ObjectID)) // pairwise: another one at each application
	claims := map[string]any{
		"ver": "2.0", "iss": strings.TrimRight(a.URL, "/") + "/" + s.Tenant + "/v2.0", "aud": s.ClientID, "tid": s.Tenant, "oid": s.User.ObjectID,
		"sub": base64.RawURLEncoding.EncodeToString(sub[:]), "iat": begins, "nbf": begins, "exp": now.Add(time.Hour).Unix(), "uti": "sandbox", "rh": "0.sandbox",
	}
	if s.Nonce != "" {
		claims["nonce"] = s.Nonce
	}
	if slices.Contains(s.Scopes.OIDC, "profile") {
		claims["name"], claims["preferred_username"] = s.User.Name, s.User.Username
	}
	if slices.Contains(s.Scopes.OIDC, "email") && s.User.Email != "" {
		claims["email"] = s.User.Email
	}
	maps.Copy(claims, s.User.Claims)
	maps.Copy(claims, s.Changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	if s.Forged {
		forger := New()
		forger.Rotate(true)
		return forger.Sign(nil, claims)
	}
	return a.SignFor(s.ClientID, nil, claims)
}

// userToken signs the access token of a user for a resource. scopes are its scp; empty: none.
func (a *Authority) userToken(t Tenant, app App, s SignIn, resource string, scopes []string) string {
	app.ObjectID, app.Roles = s.User.ObjectID, nil
	changed := map[string]any{"name": s.User.Name, "unique_name": s.User.Username, "upn": s.User.Username}
	if len(scopes) > 0 {
		changed["scp"] = strings.Join(scopes, " ")
	}
	if s.Platform != Web {
		changed["appidacr"] = "0" // the application has not authenticated
	}
	maps.Copy(changed, s.User.AccessClaims)
	return a.resourceToken(t, app, resource, changed)
}
