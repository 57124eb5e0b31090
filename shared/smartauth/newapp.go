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

	"fhirlink/shared/egress"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth/guidance"
	"fhirlink/shared/smartauth/jwks"
	"fhirlink/shared/smartauth/redirect"
)

// Bounds of an app (contract-smart.md §3).
const (
	maxName         = 100 // characters
	maxRedirectURIs = 16
	maxLaunchURI    = 512   // bytes
	maxJWKSURI      = 1024  // bytes
	largeScopes     = 6_000 // bytes, percent-encoded: from here authorize URLs get too long
)

// NewApp is what an organization sends to make an app or, with absent members kept, to change one.
type NewApp struct {
	ClientID                 string    `json:"clientId"`
	Name                     *string   `json:"name"`
	Type                     string    `json:"type"`
	RedirectURIs             *[]string `json:"redirectUris"`
	LaunchURI                *string   `json:"launchUri"`
	Scopes                   *[]string `json:"scopes"`
	Grants                   *[]string `json:"grants"`
	JWKSURI                  *string   `json:"jwksUri"`
	JWKS                     *rawJSON  `json:"jwks"`
	PKCE                     *string   `json:"pkce"`
	AuthorizationResponseIss *bool     `json:"authorizationResponseIss"`
	Introspect               *bool     `json:"introspect"`
	Enabled                  *bool     `json:"enabled"`
	Entra                    *NewEntra `json:"entra"`

	CreatedAt ReadOnly `json:"createdAt"`
	UpdatedAt ReadOnly `json:"updatedAt"`
	ETag      ReadOnly `json:"etag"`
	Notes     ReadOnly `json:"notes"`
}

// rawJSON is a member that is read later.
type rawJSON []byte

// UnmarshalJSON keeps the text.
func (r *rawJSON) UnmarshalJSON(text []byte) error {
	*r = slices.Clone(text)
	return nil
}

var clientIDSyntax = paste.MustCompile(`^[A-Za-z0-9._~-]{3,128}$`)

// IsClientID reports whether an app can have a client id.
func IsClientID(text string) bool { return clientIDSyntax.MatchString(text) }

// app reads a new app. Errors: InvalidFields, BackendNeedsAsymmetric.
func (in NewApp) app(anyTarget bool) (App, error) {
	r := &reader{}
	a := App{ClientID: in.ClientID, Type: AppType(in.Type)}
	switch {
	case a.ClientID == "":
		a.ClientID = uuid.NewString()
	case !clientIDSyntax.MatchString(a.ClientID):
		r.fail("clientId", "client_id_syntax", "Choose one of 3 to 128 letters, digits and . _ ~ -, or leave it out: then it is a GUID.", "clientId %.140q cannot be used.", in.ClientID)
	}
	if in.Type == "" {
		r.fail("type", "required", "Send public for an app that cannot keep a secret (in a browser, on a phone), symmetric for one with a server of its own, asymmetric for one that signs with a key.", "The field type is required.")
	}
	r.oneOf("type", in.Type, "", string(Public), string(Symmetric), string(Asymmetric))
	for _, one := range []struct {
		field  string
		absent bool
	}{{"name", in.Name == nil}, {"scopes", in.Scopes == nil}} {
		if one.absent {
			r.fail(one.field, "required", "Send it.", "The field %s is required.", one.field)
		}
	}
	return in.into(a, r, anyTarget)
}

// change applies the members that were sent. Errors: InvalidFields, BackendNeedsAsymmetric.
func (in NewApp) change(a App, anyTarget bool) (App, error) {
	r := &reader{}
	if in.ClientID != "" && in.ClientID != a.ClientID {
		r.fail("clientId", "immutable", "Make another app instead, and delete this one when nobody uses it.", "The client id of an app is never changed.")
	}
	if in.Type != "" && in.Type != string(a.Type) {
		r.fail("type", "immutable", "Make another app instead, and delete this one when nobody uses it.", "The type of an app is never changed.")
	}
	return in.into(a, r, anyTarget)
}

// needsKey is BackendNeedsAsymmetric if the app would get tokens without a user.
func (a App) needsKey() error {
	field := ""
	switch {
	case a.Type == Asymmetric:
	case a.asksForSystem():
		field = "scopes"
	case a.backend():
		field = "grants"
	}
	if field == "" {
		return nil
	}
	const message, fix = "A backend service (client_credentials, scopes system/…) signs its requests with a key of its own.", "Make an app of the type asymmetric for it, with its public key in jwks or jwksUri."
	return problem.InField(problem.BackendNeedsAsymmetric, field, message, fix)
}

// asksForSystem reports whether the app may be granted a scope that needs no user.
func (a App) asksForSystem() bool {
	return slices.ContainsFunc(a.Scopes, func(s string) bool { return smart.Parse(s).Context == "system" })
}

// into reads the members that were sent into a, and checks the app as it is then.
func (in NewApp) into(a App, r *reader, anyTarget bool) (App, error) {
	if in.Name != nil {
		a.Name = r.name(*in.Name)
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
		a.Grants = r.grants(*in.Grants)
	}
	if in.RedirectURIs != nil {
		a.RedirectURIs = r.redirectURIs(*in.RedirectURIs, a.Type == Public)
	}
	if len(a.RedirectURIs) == 0 && a.May(AuthorizationCode) && !r.about("redirectUris") {
		r.fail("redirectUris", "required", "Send where the app is answered, up to 16 addresses. A backend service, whose only grant is client_credentials, needs none.", "The app has no redirect URI.")
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
	in.keys(&a, r, anyTarget)
	if in.Introspect != nil && *in.Introspect {
		r.fail("introspect", "not_available_yet", "Leave it out.", "introspect is not available yet.")
	}
	if a.asksForSystem() && !a.backend() && a.Type == Asymmetric {
		r.fail("grants", "grant_missing", "Send [\"client_credentials\"], with authorization_code beside it if users sign in, too.", "Scopes system/… are for backend services, and the app may not get tokens as one.")
	}
	slices.SortStableFunc(r.mistakes, func(a, b problem.Field) int { return strings.Compare(a.Field, b.Field) })
	if err := a.needsKey(); err != nil && !r.about("type") {
		return App{}, err
	}
	return a, r.err()
}

// keys reads where the keys of an asymmetric app are. One that is sent takes the place of the other.
func (in NewApp) keys(a *App, r *reader, anyTarget bool) {
	uri, set := in.JWKSURI != nil, in.JWKS != nil
	switch {
	case a.Type != Asymmetric && (uri || set):
		for _, field := range []string{"jwksUri", "jwks"} {
			if field == "jwksUri" && uri || field == "jwks" && set {
				r.fail(field, "app_has_no_key", "Leave it out, or make an asymmetric app.", "Only apps of the type asymmetric have keys.")
			}
		}
	case a.Type != Asymmetric:
	case uri && set:
		r.fail("jwks", "jwks_twice", "Send the address in jwksUri if the app publishes its keys, else the keys in jwks.", "The app can have jwksUri or jwks, not both.")
	case uri:
		a.JWKSURI, a.JWKS = r.jwksURI(*in.JWKSURI, anyTarget), jwks.Set{}
	case set:
		if mistake := jwks.Check(*in.JWKS); mistake != nil {
			r.mistakes = append(r.mistakes, *mistake)
			return
		}
		a.JWKSURI = ""
		a.JWKS, _ = jwks.Parse(*in.JWKS) // Check has read it
	case a.JWKSURI == "" && a.JWKS.IsZero():
		r.fail("jwksUri", "required", "Send the address at which the app publishes its keys, or the keys themselves in jwks.", "An asymmetric app needs jwksUri or jwks.")
	}
}

// jwksURI is where an app publishes its keys. Which address that is, is judged when it is dialled.
func (r *reader) jwksURI(uri string, anyTarget bool) string {
	const fix = "Send the https address of the app's key set, such as https://app.example/.well-known/jwks.json."
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxJWKSURI || !isHTTPS(uri) {
		r.fail("jwksUri", "url_not_https", fix, "jwksUri %.80q is no https address of at most %d characters.", uri, maxJWKSURI)
		return uri
	}
	host, port := u.Hostname(), u.Port()
	public := strings.Contains(host, ".") && egress.IsName(host) && !egress.LooksLikeAddress(host) && (port == "" || port == "443")
	if !anyTarget && !public {
		r.fail("jwksUri", "url_host", fix, "jwksUri %.80q must have the public name of a host, and no other port than 443.", uri)
	}
	return uri
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
	if len(uris) > maxRedirectURIs {
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

func (r *reader) grants(grants []string) (kept []GrantType) {
	for _, one := range grants {
		r.oneOf("grants", one, "", string(AuthorizationCode), string(ClientCredentials))
		if grant := GrantType(one); !slices.Contains(kept, grant) {
			kept = append(kept, grant)
		}
	}
	if len(kept) == 0 {
		r.fail("grants", "required", "Send [\"authorization_code\"], or leave it out.", "The app has no grant.")
	}
	slices.Sort(kept)
	return kept
}

// notes are what will not work as the app may expect.
func (a App) notes(s Settings) (notes []string) {
	if n := len(url.QueryEscape(strings.Join(a.Scopes, " "))); n > largeScopes {
		notes = append(notes, fmt.Sprintf("The scopes take %d kB in an address, and hosts refuse addresses of more than 8 kB: let the app send its request by POST, or use wildcards.", (n+999)/1000))
	}
	if s.Tokens == OfEntra {
		notes = append(notes, a.Registration.notes()...)
	}
	return append(notes, guidance.AppNotes(s.guided(), a.Scopes)...)
}

// notes are why the users of an app cannot sign in by its registration, if they cannot.
func (r Registration) notes() []string {
	const send = "Send a new client secret (API: PATCH the app with entra.clientSecret)."
	status := r.Row.Status(r.At)
	switch {
	case r.At.IsZero() || r.Row.ClientID != "" && status == condition.Active:
		return nil
	case r.Row.ClientID == "":
		return []string{"The app's registration in Entra (entra) is not kept any more, so its users cannot sign in. " + send}
	case status == condition.Expired:
		return []string{"The client secret of the app's registration in Entra (entra) has expired, so its users cannot sign in. " + send}
	case r.Row.Problem == nil:
		return nil
	}
	return []string{"The app's registration in Entra (entra) is " + string(status) + ": " + r.Row.Problem.Message + " If its secret is the cause: " + send}
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
