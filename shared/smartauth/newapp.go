package smartauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth/redirect"
)

// Bounds of an app (contract-smart.md §3).
const (
	maxName         = 100 // characters
	maxRedirectURIs = 16
	maxLaunchURI    = 512   // bytes
	largeScopes     = 6_000 // bytes, percent-encoded: from here authorize URLs get too long
)

// NewApp is what an organization sends to make an app or, with absent members kept, to change one.
type NewApp struct {
	ClientID                 string     `json:"clientId"`
	Name                     *string    `json:"name"`
	Type                     string     `json:"type"`
	RedirectURIs             *[]string  `json:"redirectUris"`
	LaunchURI                *string    `json:"launchUri"`
	Scopes                   *[]string  `json:"scopes"`
	Grants                   *[]string  `json:"grants"`
	JWKSURI                  *string    `json:"jwksUri"`
	JWKS                     *anyObject `json:"jwks"`
	PKCE                     *string    `json:"pkce"`
	AuthorizationResponseIss *bool      `json:"authorizationResponseIss"`
	Introspect               *bool      `json:"introspect"`
	Enabled                  *bool      `json:"enabled"`
	Entra                    *anyObject `json:"entra"`

	CreatedAt ReadOnly `json:"createdAt"`
	UpdatedAt ReadOnly `json:"updatedAt"`
	ETag      ReadOnly `json:"etag"`
	Notes     ReadOnly `json:"notes"`
}

// anyObject is a member whose content does not count yet.
type anyObject struct{}

// UnmarshalJSON takes any value.
func (*anyObject) UnmarshalJSON([]byte) error { return nil }

var clientIDSyntax = paste.MustCompile(`^[A-Za-z0-9._~-]{3,128}$`)

// IsClientID reports whether an app can have a client id.
func IsClientID(text string) bool { return clientIDSyntax.MatchString(text) }

// app reads a new app. Errors: InvalidFields, BackendNeedsAsymmetric.
func (in NewApp) app() (App, error) {
	if in.Type != "asymmetric" {
		if err := in.needsKey(); err != nil {
			return App{}, err
		}
	}
	r := &reader{}
	a := App{ClientID: in.ClientID, Type: AppType(in.Type)}
	switch {
	case a.ClientID == "":
		a.ClientID = uuid.NewString()
	case !clientIDSyntax.MatchString(a.ClientID):
		r.fail("clientId", "client_id_syntax", "Choose one of 3 to 128 letters, digits and . _ ~ -, or leave it out: then it is a GUID.", "clientId %.140q cannot be used.", in.ClientID)
	}
	switch in.Type {
	case "":
		r.fail("type", "required", "Send public for an app that cannot keep a secret (in a browser, on a phone), symmetric for one with a server of its own.", "The field type is required.")
	case "asymmetric":
		r.notYet("type", in.Type, "Send public or symmetric.")
	default:
		r.oneOf("type", in.Type, "", string(Public), string(Symmetric))
	}
	for _, one := range []struct {
		field  string
		absent bool
	}{{"name", in.Name == nil}, {"redirectUris", in.RedirectURIs == nil}, {"scopes", in.Scopes == nil}} {
		if one.absent {
			r.fail(one.field, "required", "Send it.", "The field %s is required.", one.field)
		}
	}
	in.into(&a, r)
	return a, r.err()
}

// change applies the members that were sent. Errors: InvalidFields, BackendNeedsAsymmetric.
func (in NewApp) change(a App) (App, error) {
	if err := in.needsKey(); err != nil {
		return App{}, err
	}
	r := &reader{}
	if in.ClientID != "" && in.ClientID != a.ClientID {
		r.fail("clientId", "immutable", "Make another app instead, and delete this one when nobody uses it.", "The client id of an app is never changed.")
	}
	if in.Type != "" && in.Type != string(a.Type) {
		r.fail("type", "immutable", "Make another app instead, and delete this one when nobody uses it.", "The type of an app is never changed.")
	}
	in.into(&a, r)
	return a, r.err()
}

// needsKey is BackendNeedsAsymmetric if the app would get tokens without a user.
func (in NewApp) needsKey() error {
	field := ""
	if in.Grants != nil && slices.Contains(*in.Grants, "client_credentials") {
		field = "grants"
	}
	if in.Scopes != nil && slices.ContainsFunc(*in.Scopes, func(s string) bool { return smart.Parse(s).Context == "system" }) {
		field = "scopes"
	}
	if field == "" {
		return nil
	}
	const message, fix = "A backend service (client_credentials, scopes system/…) signs its requests with a key of its own.", "Make an app of the type asymmetric for it, which is not available yet."
	e := problem.New(problem.BackendNeedsAsymmetric, "%s %s", message, fix)
	e.Fields = []problem.Field{{Field: field, Code: string(problem.BackendNeedsAsymmetric), Message: message, Fix: fix}}
	return e
}

// into reads the members that were sent into a.
func (in NewApp) into(a *App, r *reader) {
	if in.Name != nil {
		a.Name = r.name(*in.Name)
	}
	if in.RedirectURIs != nil {
		a.RedirectURIs = r.redirectURIs(*in.RedirectURIs, a.Type == Public)
	}
	if in.LaunchURI != nil {
		a.LaunchURI = r.launchURI(*in.LaunchURI)
	}
	if in.Scopes != nil {
		if a.Scopes = r.scopes("scopes", *in.Scopes); len(*in.Scopes) == 0 {
			r.fail("scopes", "required", "Send what the app may be granted, such as openid, fhirUser and patient/*.rs.", "The app has no scope.")
		}
	}
	if in.Grants != nil {
		r.grants(*in.Grants)
	}
	if in.PKCE != nil {
		a.PKCEOptional = r.oneOf("pkce", *in.PKCE, "required", "required", "optional") == "optional"
	}
	if a.PKCEOptional && a.Type == Public {
		r.fail("pkce", "pkce_required", "Leave it out.", "A public app needs PKCE: without it, whoever sees a code can use it.")
	}
	if in.AuthorizationResponseIss != nil {
		a.AuthorizationResponseIss = *in.AuthorizationResponseIss
	}
	if in.Enabled != nil {
		if !*in.Enabled && !a.Disabled {
			a.ID = rand.Text() // what was granted to the app is dead, also when it is switched on again
		}
		a.Disabled = !*in.Enabled
	}
	for field, sent := range map[string]bool{"jwksUri": in.JWKSURI != nil, "jwks": in.JWKS != nil, "entra": in.Entra != nil, "introspect": in.Introspect != nil && *in.Introspect} {
		if sent {
			r.fail(field, "not_available_yet", "Leave it out.", "%s is not available yet.", field)
		}
	}
	slices.SortStableFunc(r.mistakes, func(a, b problem.Field) int { return strings.Compare(a.Field, b.Field) })
}

func (r *reader) name(text string) string {
	text = strings.TrimSpace(text)
	odd := strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
	if n := utf8.RuneCountInString(text); n == 0 || n > maxName || odd || !utf8.ValidString(text) {
		r.fail("name", "name_syntax", "Send the name by which users know the app.", "The name must have 1 to %d printable characters, in one line.", maxName)
	}
	return text
}

func (r *reader) redirectURIs(uris []string, public bool) (kept []string) {
	if len(uris) == 0 || len(uris) > maxRedirectURIs {
		r.fail("redirectUris", "too_many", "Send 1 to 16.", "There are %d redirect URIs.", len(uris))
		return nil
	}
	for _, one := range uris {
		if mistake := redirect.Check(one, public); mistake != nil {
			r.mistakes = append(r.mistakes, *mistake)
		}
		if !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// launchURI is where EHRs open the app: https, or http on the user's own machine.
func (r *reader) launchURI(uri string) string {
	u, err := url.Parse(uri)
	loopback := err == nil && u.Scheme == "http" && u.User == nil && u.Fragment == "" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if uri != "" && (len(uri) > maxLaunchURI || !isHTTPS(uri) && !loopback) {
		r.fail("launchUri", "url_not_https", "Send an https address of at most 512 characters without a fragment.", "launchUri %.80q cannot be opened by an EHR.", uri)
	}
	return uri
}

func (r *reader) grants(grants []string) {
	for _, one := range grants {
		r.oneOf("grants", one, "", "authorization_code", "client_credentials")
	}
	if !slices.Contains(grants, "authorization_code") && !slices.Contains(grants, "client_credentials") {
		r.fail("grants", "required", "Send [\"authorization_code\"], or leave it out.", "The app has no grant.")
	}
}

// readOnlyThere is about Azure Health Data Services' smartIdentityProviders.
const readOnlyThere = "Azure Health Data Services lets apps with tokens of another authorization server read only (by its documentation; not tried): scopes that write will be refused there."

// notes are what will not work as the app may expect.
func (a App) notes(s Settings) (notes []string) {
	if n := len(url.QueryEscape(strings.Join(a.Scopes, " "))); n > largeScopes {
		notes = append(notes, fmt.Sprintf("The scopes take %d kB in an address, and hosts refuse addresses of more than 8 kB: let the app send its request by POST, or use wildcards.", (n+999)/1000))
	}
	if s.Server == AHDS && slices.ContainsFunc(a.Scopes, writes) {
		notes = append(notes, readOnlyThere)
	}
	return notes
}

func writes(scope string) bool {
	parsed := smart.Parse(scope)
	return parsed.Version() != smart.NoVersion && !smart.Covers(smart.Parse(parsed.Context+"/*.rs"), smart.Parse(parsed.Context+"/*."+parsed.Permissions))
}

// NewSecret is what an organization sends for a new client secret of an app.
type NewSecret struct {
	OverlapHours *int         `json:"overlapHours"`
	ClientSecret secret.Value `json:"clientSecret"`
}

const (
	secretPrefix         = "fls_"
	defaultOverlap       = 24
	maxOverlap           = 720
	minSecret, maxSecret = 24, 1024
)

// read returns the secret, which is made here unless it was sent, and how many hours the one before
// stays valid.
func (in NewSecret) read() (clientSecret secret.Value, overlap int, err error) {
	r := &reader{}
	overlap = r.within("overlapHours", in.OverlapHours, 0, maxOverlap, defaultOverlap)
	clientSecret = in.ClientSecret
	text := clientSecret.Reveal()
	switch {
	case clientSecret.IsZero():
		clientSecret = newSecret()
	case len(text) < minSecret || len(text) > maxSecret || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }):
		r.fail("clientSecret", "secret_syntax", "Send one of 24 to 1024 printable ASCII characters, or leave it out: then it is made here.", "The client secret is too short, too long, or has a character that is not printable ASCII.")
	}
	return clientSecret, overlap, r.err()
}

func newSecret() secret.Value {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return secret.New(secretPrefix + base64.RawURLEncoding.EncodeToString(b[:]))
}

func hashOf(s secret.Value) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
