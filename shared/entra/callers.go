package entra

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// personalTenant issues the tokens of personal Microsoft accounts, which belong to no
// organization (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

const (
	leeway         = time.Minute
	rememberTokens = 4096             // about 2 MB
	rememberFor    = 10 * time.Minute // so that a withdrawn key counts soon
)

// The scope and the roles that our API's registration in Entra defines.
const (
	scopeManage       = "Links.Manage"
	roleAdministrator = "Links.Administrator"
	roleManageAll     = "Links.Manage.All"
	roleTokenAll      = "Links.Token.All"
)

// Caller is who calls our API, proved by an access token of Entra.
type Caller struct {
	Organization string // tid, lower case
	ObjectID     string // oid of the user or service principal; for logs, no right depends on it
	AppID        string // client id of the calling application
	App          bool   // an application by itself: the token has no scp
	Operator     bool   // of the tenant that runs this service
	Scopes       []string
	Roles        []string
}

// MayManage tells whether the caller may manage the links of its organization.
func (c Caller) MayManage() bool {
	if c.App {
		return slices.Contains(c.Roles, roleManageAll)
	}
	return slices.Contains(c.Scopes, scopeManage) && slices.Contains(c.Roles, roleAdministrator)
}

// MayToken tells whether the caller may have tokens for links; a user never may.
func (c Caller) MayToken() bool { return c.App && slices.Contains(c.Roles, roleTokenAll) }

type callerKey struct{}

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns the caller that the context carries.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// CallerError means that an access token is not good: invalid_token of RFC 6750 §3.1.
type CallerError struct {
	Reason string // fit for error_description: ASCII without quotes and backslashes
}

func (e *CallerError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	text := printable(fmt.Sprintf(format, args...), maxSentence)
	return &CallerError{strings.Map(func(r rune) rune {
		if r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)}
}

// CallersConfig says whose tokens are accepted.
type CallersConfig struct {
	Authority      string   // e.g. https://login.microsoftonline.com/: publishes the keys and is the issuer
	Audiences      []string // aud must be one of them; none: no token is good
	Tenants        []string // tenant ids, or "*" for every organization's
	OperatorTenant string   // allowed besides Tenants; may be empty
	Client         *http.Client
	Now            func() time.Time // nil: time.Now
}

// Callers validates the access tokens of our callers. It makes no request before the first
// token comes.
type Callers struct {
	issuer    string // without {tid}/v2.0
	audiences []string
	tenants   []string
	operator  string
	now       func() time.Time
	keys      *keySet
	parser    *jwt.Parser
	seen      *lru.Cache[[sha256.Size]byte, remembered]
}

type remembered struct {
	caller Caller
	until  time.Time
}

// NewCallers prepares the validation; redirects of the key endpoint are not followed.
func NewCallers(c CallersConfig) *Callers {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	client := http.Client{}
	if c.Client != nil {
		client = *c.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	seen, err := lru.New[[sha256.Size]byte, remembered](rememberTokens)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	issuer := strings.TrimRight(c.Authority, "/") + "/"
	return &Callers{
		issuer:    issuer,
		audiences: fold(c.Audiences),
		tenants:   fold(c.Tenants),
		operator:  strings.ToLower(c.OperatorTenant),
		now:       now,
		keys: &keySet{
			url: issuer + "common/discovery/v2.0/keys", client: &client, now: now,
			unknown: rate.NewLimiter(rate.Every(30*time.Second), 4),
		},
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		seen:   seen,
	}
}

// fold writes GUIDs in lower case and leaves everything else alone.
func fold(values []string) []string {
	folded := slices.Clone(values)
	for i, v := range folded {
		if IsGUID(v) {
			folded[i] = strings.ToLower(v)
		}
	}
	return folded
}

// Authenticate validates bearer, the text after "Bearer ". A token that was found good is
// remembered by its hash, for ten minutes and no longer than it lives.
//
// Errors: *CallerError when the token is not good, *Unreachable when the signing keys cannot
// be fetched.
func (c *Callers) Authenticate(ctx context.Context, bearer string) (Caller, error) {
	if len(bearer) > maxToken {
		return Caller{}, refuse("the access token has more than %d bytes", maxToken)
	}
	hash := sha256.Sum256([]byte(bearer))
	if r, ok := c.seen.Get(hash); ok && c.now().Before(r.until) {
		return r.caller, nil
	}
	claims, err := c.validate(ctx, bearer)
	if err != nil {
		return Caller{}, err
	}
	caller := c.caller(claims)
	until := c.now().Add(rememberFor)
	if claims.expires.Before(until) {
		until = claims.expires
	}
	c.seen.Add(hash, remembered{caller, until})
	return caller, nil
}

func (c *Callers) caller(claims callerClaims) Caller {
	return Caller{
		Organization: claims.tenant,
		ObjectID:     claims.ObjectID,
		AppID:        claims.AppID,
		App:          claims.Scopes == nil,
		Operator:     claims.tenant == c.operator,
		Scopes:       claims.scopes(),
		Roles:        claims.Roles,
	}
}

// validate checks the signature first, so that nothing of a forged token is spoken about.
func (c *Callers) validate(ctx context.Context, bearer string) (callerClaims, error) {
	var (
		claims callerClaims
		key    signingKey
	)
	_, err := c.parser.ParseWithClaims(bearer, &claims, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header); err != nil {
			return nil, err
		}
		kid, _ := t.Header["kid"].(string) // checkHeader saw that it is one
		var err error
		key, err = c.keys.find(ctx, kid)
		return key.public, err
	})
	if err != nil {
		return callerClaims{}, tokenError(err)
	}
	return claims, c.check(&claims, key)
}

// checkHeader refuses what changes the meaning of a JWS: extensions (RFC 7515 §4.1.11),
// nested tokens (RFC 7519 §5.2), tokens of another kind. jku, jwk and x5u are not looked at:
// keys come from the authority alone.
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		return refuse("the token uses extensions (crit) that are not known here")
	}
	if _, ok := header["cty"]; ok {
		return refuse("the token holds another token (cty), which is not accepted")
	}
	if typ, ok := header["typ"]; ok {
		s, _ := typ.(string)
		if !strings.EqualFold(s, "JWT") && !strings.EqualFold(s, "at+jwt") {
			return refuse("the token is of another type than JWT")
		}
	}
	if kid, _ := header["kid"].(string); kid == "" || len(kid) > 128 {
		return refuse("the token does not name its signing key (kid)")
	}
	return nil
}

// tokenError puts the parser's error into words without repeating the token.
func tokenError(err error) error {
	var (
		refused     *CallerError
		unreachable *Unreachable
	)
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &unreachable):
		return unreachable
	case errors.Is(err, errUnknownKey):
		return refuse("the token is signed with a key that the authority does not publish")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse("the access token is not a well-formed JWT")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("the signature of the token is not valid (RS256 is the only method)")
	}
	return refuse("the access token cannot be verified")
}

// check judges the claims of a token whose signature is good.
func (c *Callers) check(claims *callerClaims, key signingKey) error {
	now := c.now()
	claims.tenant, claims.expires = strings.ToLower(claims.TenantID), numericDate(claims.Expires)
	switch {
	case claims.Version != "2.0":
		return refuse("the token has version '%.10s', needed is 2.0: set requestedAccessTokenVersion: 2 in the manifest of the API's app registration", claims.Version)
	case !IsGUID(claims.TenantID):
		return refuse("the token has no tenant id (tid)")
	case claims.Issuer != c.issuer+claims.TenantID+"/v2.0":
		return refuse("the token was issued by another authority than %s for its tenant", c.issuer)
	case !key.signs(claims.Issuer, claims.TenantID):
		return refuse("the token is signed with a key of another issuer")
	case !slices.ContainsFunc(claims.Audience, func(a string) bool { return slices.Contains(c.audiences, a) }):
		return refuse("the token is for another audience (aud) than this API; ask for the scope api://<client id of this API>/.default")
	case claims.expires.IsZero():
		return refuse("the token has no expiry time (exp)")
	case !now.Before(claims.expires.Add(leeway)):
		return refuse("the token expired at %s", claims.expires.Format(time.RFC3339))
	case now.Add(leeway).Before(numericDate(claims.NotBefore)):
		return refuse("the token is not valid before %s", numericDate(claims.NotBefore).Format(time.RFC3339))
	case !c.allowed(claims.tenant):
		return refuse("the tenant %s may not call this API", claims.tenant)
	case claims.Scopes == nil && !claims.fromApp():
		return refuse("the token is not an access token: it has neither scp nor the marks of an application")
	}
	return nil
}

func (c *Callers) allowed(tenant string) bool {
	if tenant == personalTenant {
		return false
	}
	return tenant == c.operator || slices.Contains(c.tenants, tenant) || slices.Contains(c.tenants, "*")
}
