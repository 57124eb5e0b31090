package entra

import (
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/caller"
)

const (
	rememberTokens = 4096             // about 2 MB
	maxName        = 64               // characters of a name that is shown
	rememberFor    = 10 * time.Minute // short, so that a withdrawn key takes effect soon
)

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
	*issuer
	audiences []string
	seen      *lru.Cache[[sha256.Size]byte, remembered]
}

type remembered struct {
	caller caller.Caller
	until  time.Time
}

// NewAccessTokens returns a validator for c. It does not follow redirects of the key endpoint.
func NewAccessTokens(c AccessTokensConfig) *AccessTokens {
	seen, err := lru.New[[sha256.Size]byte, remembered](rememberTokens)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &AccessTokens{issuer: newIssuer(c), audiences: fold(c.Audiences), seen: seen}
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
	var claims callerClaims
	key, err := c.parse(ctx, token, &claims, "at+jwt")
	if err == nil {
		err = c.check(&claims, key)
	}
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

// check validates the claims of a token whose signature is valid.
func (c *AccessTokens) check(claims *callerClaims, key signingKey) error {
	if claims.Version != "2.0" {
		return refuse("the token has version '%.10s', needed is 2.0: set requestedAccessTokenVersion: 2 in the manifest of the API's app registration", claims.Version)
	}
	if err := c.issuer.check(&claims.commonClaims, key); err != nil {
		return err
	}
	switch {
	case !slices.ContainsFunc(claims.Audience, func(a string) bool { return slices.Contains(c.audiences, a) }):
		return refuse("the token is for another audience (aud) than this API; ask for the scope api://<client id of this API>/.default")
	case !c.allowed(claims.tenant):
		return refuse("the tenant %s may not call this API", claims.tenant)
	case claims.Scopes == nil && !claims.fromApp():
		return refuse("the token is not an access token: it has neither scp nor the marks of an application")
	}
	return nil
}
