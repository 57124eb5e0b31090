package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"fhirlink/shared/caller"
)

// personalTenant issues the tokens of personal Microsoft accounts, which belong to no
// organization (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

const leeway = time.Minute

// ErrUntimely is in the error about a token whose time is over or has not begun. If many are, a clock
// is wrong.
var ErrUntimely = errors.New("the token's time is not now")

// issuer is the authority as the issuer of tokens that somebody presents to us: its keys, and the
// tenants whose tokens count.
type issuer struct {
	*verifier
	tenants  []string
	operator string
}

// newIssuer does not follow redirects of the key endpoint.
func newIssuer(c AccessTokensConfig) *issuer {
	url := strings.TrimRight(c.Authority, "/") + "/"
	return &issuer{
		verifier: newVerifier(url, url+"common/discovery/v2.0/keys", withoutRedirects(c.Client), clock(c.Now)),
		tenants:  fold(c.Tenants),
		operator: strings.ToLower(c.OperatorTenant),
	}
}

// verifier verifies tokens of one authority that one set of keys signs.
type verifier struct {
	url    string // of the authority, with the slash: the issuer without {tid}/v2.0
	now    func() time.Time
	keys   *keySet
	parser *jwt.Parser
}

func newVerifier(url, keys string, client *http.Client, now func() time.Time) *verifier {
	return &verifier{
		url: url,
		now: now,
		keys: &keySet{
			url: keys, client: client, now: now,
			unknown: rate.NewLimiter(rate.Every(30*time.Second), 4),
		},
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
	}
}

// withoutRedirects returns a client like the given one that follows no redirect. nil stands for Go's
// default transport.
func withoutRedirects(given *http.Client) *http.Client {
	client := http.Client{}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// clock returns now, or the system's clock for nil.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
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

// parse reads a token into claims. It verifies the signature first, so that no error describes the
// content of a forged token. types are the values of typ in its header, beside JWT.
func (v *verifier) parse(ctx context.Context, token string, claims jwt.Claims, types ...string) (key signingKey, err error) {
	if len(token) > maxToken {
		return key, refuse("the token has more than %d bytes", maxToken)
	}
	_, err = v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header, types); err != nil {
			return nil, err
		}
		kid, _ := t.Header["kid"].(string) // checkHeader has verified that kid is a string
		var err error
		key, err = v.keys.find(ctx, kid)
		return key.public, err
	})
	if err != nil {
		return key, tokenError(err)
	}
	return key, nil
}

// check validates what all tokens have in common. key has signed the token.
func (v *verifier) check(c *commonClaims, key signingKey) error {
	now := v.now()
	c.tenant, c.expires = strings.ToLower(c.TenantID), numericDate(c.Expires)
	switch {
	case !IsGUID(c.TenantID):
		return refuse("the token has no tenant id (tid)")
	case c.Issuer != v.url+c.TenantID+"/v2.0":
		return refuse("the token was issued by another authority than %s for its tenant", v.url)
	case !key.signs(c.Issuer, c.TenantID):
		return refuse("the token is signed with a key of another issuer")
	case c.expires.IsZero():
		return refuse("the token has no expiry time (exp)")
	case !now.Before(c.expires.Add(leeway)):
		return untimely("the token expired at %s", c.expires.Format(time.RFC3339))
	case now.Add(leeway).Before(numericDate(c.NotBefore)):
		return untimely("the token is not valid before %s", numericDate(c.NotBefore).Format(time.RFC3339))
	}
	return nil
}

func (i *issuer) allowed(tenant string) bool {
	if tenant == personalTenant {
		return false
	}
	return tenant == i.operator || slices.Contains(i.tenants, tenant) || slices.Contains(i.tenants, "*")
}

func refuse(format string, args ...any) error {
	text := printable(fmt.Sprintf(format, args...), maxSentence)
	return &caller.Refused{Reason: strings.Map(func(r rune) rune {
		if r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)}
}

// untimely is refuse for a token whose time is not now.
func untimely(format string, args ...any) error {
	return &untimelyError{refuse(format, args...)}
}

type untimelyError struct{ error }

// Unwrap returns the *caller.Refused.
func (e *untimelyError) Unwrap() []error { return []error{e.error, ErrUntimely} }

// checkHeader refuses what changes the meaning of a JWS: extensions (RFC 7515 §4.1.11), nested
// tokens (RFC 7519 §5.2) and tokens of another type. It ignores jku, jwk and x5u, because keys
// come from the authority only.
func checkHeader(header map[string]any, types []string) error {
	if _, ok := header["crit"]; ok {
		return refuse("the token uses extensions (crit) that are not known here")
	}
	if _, ok := header["cty"]; ok {
		return refuse("the token holds another token (cty), which is not accepted")
	}
	if typ, ok := header["typ"]; ok {
		s, _ := typ.(string)
		if !strings.EqualFold(s, "JWT") && !slices.Contains(types, strings.ToLower(s)) {
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
		return refuse("the token is not a well-formed JWT")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("the signature of the token is not valid (RS256 is the only method)")
	}
	return refuse("the token cannot be verified")
}
