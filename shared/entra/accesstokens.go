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

	"fhirlink/shared/caller"
)

// personalTenant issues the tokens of personal Microsoft accounts, which belong to no
// organization (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

const (
	leeway         = time.Minute
	rememberTokens = 4096             // about 2 MB
	maxName        = 64               // characters of a name that is shown
	rememberFor    = 10 * time.Minute // short, so that a withdrawn key takes effect soon
)

func refuse(format string, args ...any) error {
	text := printable(fmt.Sprintf(format, args...), maxSentence)
	return &caller.Refused{Reason: strings.Map(func(r rune) rune {
		if r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)}
}

// AccessTokensConfig says which tokens are accepted.
type AccessTokensConfig struct {
	Authority      string   // e.g. https://login.microsoftonline.com/: the issuer, which also publishes the keys
	Audiences      []string // aud must be one of them; empty: no token is accepted
	Tenants        []string // tenant ids, or "*" for all organizations
	OperatorTenant string   // accepted in addition to Tenants; may be empty
	Client         *http.Client
	Now            func() time.Time // nil: time.Now
}

// AccessTokens validates the access tokens of our callers. It makes no request before it
// validates the first token.
type AccessTokens struct {
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
	caller caller.Caller
	until  time.Time
}

// NewAccessTokens returns a validator for c. It does not follow redirects of the key endpoint.
func NewAccessTokens(c AccessTokensConfig) *AccessTokens {
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
	return &AccessTokens{
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

// fold writes GUIDs in lower case and leaves other values unchanged.
func fold(values []string) []string {
	folded := slices.Clone(values)
	for i, v := range folded {
		if IsGUID(v) {
			folded[i] = strings.ToLower(v)
		}
	}
	return folded
}

// Validate validates a token, which is the text after "Bearer ". It caches a valid token by its
// hash for ten minutes, but not beyond the token's expiry.
//
// Errors: *caller.Refused when the token is not valid, *Unreachable when the signing keys cannot
// be fetched.
func (c *AccessTokens) Validate(ctx context.Context, token string) (caller.Caller, error) {
	if len(token) > maxToken {
		return caller.Caller{}, refuse("the access token has more than %d bytes", maxToken)
	}
	var room [2 << 10]byte // enough for most tokens, so that none is copied to the heap
	hash := sha256.Sum256(append(room[:0], token...))
	if r, ok := c.seen.Get(hash); ok && c.now().Before(r.until) {
		return r.caller, nil
	}
	claims, err := c.parse(ctx, token)
	if err != nil {
		return caller.Caller{}, err
	}
	from := c.caller(claims)
	until := c.now().Add(rememberFor)
	if claims.expires.Before(until) {
		until = claims.expires
	}
	c.seen.Add(hash, remembered{from, until})
	return from, nil
}

func (c *AccessTokens) caller(claims callerClaims) caller.Caller {
	return caller.Caller{
		Organization: claims.tenant,
		ObjectID:     claims.ObjectID,
		AppID:        claims.AppID,
		App:          claims.Scopes == nil,
		Operator:     claims.tenant == c.operator,
		Scopes:       claims.scopes(),
		Roles:        claims.Roles,
		Name:         printable(claims.Name, maxName),
	}
}

// parse verifies the signature first, so that no error describes the content of a forged token.
func (c *AccessTokens) parse(ctx context.Context, token string) (callerClaims, error) {
	var (
		claims callerClaims
		key    signingKey
	)
	_, err := c.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header); err != nil {
			return nil, err
		}
		kid, _ := t.Header["kid"].(string) // checkHeader has verified that kid is a string
		var err error
		key, err = c.keys.find(ctx, kid)
		return key.public, err
	})
	if err != nil {
		return callerClaims{}, tokenError(err)
	}
	return claims, c.check(&claims, key)
}

// checkHeader refuses what changes the meaning of a JWS: extensions (RFC 7515 §4.1.11), nested
// tokens (RFC 7519 §5.2) and tokens of another type. It ignores jku, jwk and x5u, because keys
// come from the authority only.
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

// tokenError describes the parser's error without quoting the token.
func tokenError(err error) error {
	var (
		refused     *caller.Refused
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

// check validates the claims of a token whose signature is valid.
func (c *AccessTokens) check(claims *callerClaims, key signingKey) error {
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

func (c *AccessTokens) allowed(tenant string) bool {
	if tenant == personalTenant {
		return false
	}
	return tenant == c.operator || slices.Contains(c.tenants, tenant) || slices.Contains(c.tenants, "*")
}
