package entra

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxApplications bounds how many sets of keys are remembered, one for each application. Entra's have
// about five kilobytes each.
const maxApplications = 1000

// SignedIn is who has signed in at an application of a tenant. It does not print, because it says who
// a patient is.
type SignedIn struct {
	ObjectID string         // oid, lower case
	Name     string         // for people; printable, at most 64 characters, may be empty
	Username string         // preferred_username, for people; printable, bounded
	Email    string         // nobody has verified it; printable, bounded
	Claims   map[string]any // all claims as they are in the token, for those that an organization adds
}

// maxAddress bounds what is shown of a username or an address of mail (RFC 5321 §4.5.3.1), in runes.
const maxAddress = 320

// Format writes "[redacted]" for every verb.
func (SignedIn) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue returns "[redacted]".
func (SignedIn) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText returns "[redacted]".
func (SignedIn) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Applications validates the ID tokens of any application, each with the keys of its own tenant. Among
// them are the keys of the application itself, with which Entra signs if a policy maps claims
// (https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signature).
type Applications struct {
	client *http.Client
	now    func() time.Time
	known  *lru.Cache[string, *verifier] // by the URL of the keys
}

// NewApplications returns a validator that fetches keys when it first needs them. It does not follow
// redirects of the key endpoint. now is the clock; nil: time.Now.
func NewApplications(client *http.Client, now func() time.Time) *Applications {
	known, err := lru.New[string, *verifier](maxApplications)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Applications{withoutRedirects(client), clock(now), known}
}

// Validate validates an ID token of version 2 of a sign-in that began with this nonce, at the
// application c, whose credential it does not need. The errors are those of [IDTokens.Validate], but
// for *TenantNotAllowed: a token of another tenant than the application's is not valid.
func (a *Applications) Validate(ctx context.Context, c Credentials, token, nonce string) (SignedIn, error) {
	if !IsGUID(c.TenantID) || !IsGUID(c.ClientID) {
		return SignedIn{}, refuse("no token is for an application without a tenant id and a client id")
	}
	tenant, client := strings.ToLower(c.TenantID), strings.ToLower(c.ClientID)
	v := a.verifier(strings.TrimRight(c.Authority, "/")+"/", tenant, client)
	var claims idClaims
	key, err := v.parse(ctx, token, &claims)
	if err == nil {
		err = v.checkID(&claims, key, client, nonce)
	}
	if err == nil && claims.tenant != tenant {
		err = refuse("the token is of another tenant (tid)")
	}
	if err != nil {
		return SignedIn{}, err
	}
	all := map[string]any{}
	for name, raw := range claims.all {
		var value any
		if err := json.Unmarshal(raw, &value); err == nil { // always: the parser has read it before
			all[name] = value
		}
	}
	return SignedIn{
		ObjectID: strings.ToLower(claims.ObjectID), Name: printable(claims.Name, maxName),
		Username: printable(claims.Username, maxAddress), Email: printable(claims.Email, maxAddress), Claims: all,
	}, nil
}

// verifier returns the verifier with the keys of a tenant and an application. Two callers that need it
// first get the same one.
func (a *Applications) verifier(authority, tenant, client string) *verifier {
	keys := authority + tenant + "/discovery/v2.0/keys?" + url.Values{"appid": {client}}.Encode()
	if known, ok := a.known.Get(keys); ok {
		return known
	}
	fresh := newVerifier(authority, keys, a.client, a.now)
	if known, ok, _ := a.known.PeekOrAdd(keys, fresh); ok {
		return known
	}
	return fresh
}
