package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/oauth"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/jwks"
)

// assertionType is the only client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Bounds of an assertion (contract-smart.md §8).
const (
	leeway = time.Minute // for clocks that differ
	// maxAhead is the five minutes that an assertion may live, with a leeway that ends before the sixth:
	// one made for six minutes is refused whatever the clocks say.
	maxAhead = 5*time.Minute + 50*time.Second
	maxID    = 256 // bytes of jti
)

// retryKeys is how long an app waits when its own keys cannot be fetched.
const retryKeys = 5 * time.Second

// assertion is a JWT with which a client proves who it is (RFC 7523 §3).
type assertion struct {
	signed *jose.JSONWebSignature
	header jose.Header
	claims claims
}

// claims are those of an assertion. Times are in seconds since 1970.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ID        string   `json:"jti"`
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	IssuedAt  *float64 `json:"iat"`
}

// audience is a text, or a list of texts.
type audience []string

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// readAssertion reads an assertion without believing it. The error is an *oauth.Error.
func readAssertion(text string) (*assertion, error) {
	signed, err := jose.ParseSignedCompact(text, jwks.Algorithms)
	if err != nil {
		return nil, invalidClient("The parameter client_assertion is not a JWT that is signed with RS384 or ES384.", false)
	}
	a := &assertion{signed: signed, header: signed.Signatures[0].Protected}
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &a.claims) != nil {
		return nil, invalidClient("The claims of the client assertion cannot be read: iss, sub and jti are texts, aud is a text, exp is a number of seconds since 1970.", false)
	}
	if a.claims.Subject == "" {
		return nil, invalidClient("The client assertion has no sub. It is the client id.", false)
	}
	return a, nil
}

// HashOfID is a hash of the assertion's jti, for the log; empty: there is no assertion.
func (c Credentials) HashOfID() string {
	const enough = 12
	if c.assertion == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(c.assertion.claims.ID))
	return base64.RawURLEncoding.EncodeToString(sum[:enough])
}

// check makes sure that an app has signed the assertion for this authorization server, just now, and that it
// is presented for the first time. Errors: *oauth.Error, and those of the store.
func (a *assertion) check(ctx context.Context, by Authenticator, server smartauth.Server, app smartauth.App) error {
	now := by.Now()
	if wrong := a.wrong(app, by.endpoints(string(server.Link.Slug)), now); wrong != "" {
		return invalidClient(wrong, false)
	}
	key, err := a.key(ctx, by, app)
	if err != nil {
		return err
	}
	if _, err := a.signed.Verify(key); err != nil {
		return invalidClient("The signature of the client assertion does not fit the key that its kid names.", false)
	}
	ends := secondsOf(*a.claims.Expires).Add(leeway)
	name := strings.Join([]string{server.Link.ID, app.ClientID, a.claims.ID}, "\n")
	switch first, err := (handle.Store{Rows: by.Rows}).Once(ctx, handle.Assertion, name, ends); {
	case err != nil:
		return smartauth.Unavailable(err)
	case !first:
		return invalidClient("The client assertion was presented before: its jti is used. Sign a new one for each request.", false)
	}
	return nil
}

// wrong says what is wrong with an assertion whose signature was not looked at; empty: nothing. It comes
// first so that nobody makes us fetch keys with a text that cannot be right.
func (a *assertion) wrong(app smartauth.App, endpoints []string, now time.Time) string {
	if wrong := a.wrongHeader(app); wrong != "" {
		return wrong
	}
	c := a.claims
	switch {
	case c.Issuer != app.ClientID || c.Subject != app.ClientID:
		return "The iss and the sub of the client assertion must both be the client id."
	case len(c.Audience) != 1 || !slices.Contains(endpoints, c.Audience[0]):
		return "The aud of the client assertion must be " + endpoints[0] + ", and nothing else."
	case len(c.ID) == 0 || len(c.ID) > maxID:
		return fmt.Sprintf("The client assertion needs a jti of 1 to %d bytes, another one each time.", maxID)
	case c.Expires == nil:
		return "The client assertion has no exp."
	case !now.Before(secondsOf(*c.Expires).Add(leeway)):
		return "The client assertion has expired. Compare the clock of the app with the time in the header Date."
	case secondsOf(*c.Expires).Sub(now) > maxAhead:
		return "The exp of the client assertion is more than five minutes ahead."
	case c.NotBefore != nil && secondsOf(*c.NotBefore).Sub(now) > leeway, c.IssuedAt != nil && secondsOf(*c.IssuedAt).Sub(now) > leeway:
		return "The nbf or iat of the client assertion is ahead. Compare the clock of the app with the time in the header Date."
	}
	return ""
}

func (a *assertion) wrongHeader(app smartauth.App) string {
	typ, hasTyp := a.header.ExtraHeaders[jose.HeaderType]
	text, _ := typ.(string)
	jku, hasJKU := a.header.ExtraHeaders["jku"]
	_, critical := a.header.ExtraHeaders["crit"]
	switch {
	case hasTyp && !strings.EqualFold(text, "JWT"):
		return "The typ of the client assertion must be JWT."
	case critical:
		return "The client assertion has a header crit, which is not supported."
	case a.header.KeyID == "":
		return "The client assertion has no kid. It names the key in the app's key set."
	case hasJKU && (app.JWKSURI == "" || jku != app.JWKSURI):
		return "The jku of the client assertion is not the jwksUri that is registered for the app."
	}
	return ""
}

// key returns the key that the assertion names. Errors: *oauth.Error, and that of the context.
func (a *assertion) key(ctx context.Context, by Authenticator, app smartauth.App) (key any, err error) {
	algorithm := jose.SignatureAlgorithm(a.header.Algorithm)
	if app.JWKSURI == "" {
		key, err = app.JWKS.Find(a.header.KeyID, algorithm)
	} else {
		key, err = by.Keys.Find(ctx, app.JWKSURI, a.header.KeyID, algorithm)
	}
	var unreachable *jwks.Unreachable
	switch {
	case errors.As(err, &unreachable):
		return nil, &oauth.Error{
			Code: oauth.Unavailable, Status: 503, RetryAfter: retryKeys, Cause: err,
			// Why is for the log only: whoever knows a client id gets here, and would learn what is where in a network of ours.
			Description: "The client assertion cannot be checked: the keys that the app publishes at its jwksUri cannot be fetched just now. Send the request again in a few seconds, with a new client assertion. The operator's log says why.",
		}
	case errors.Is(err, jwks.ErrSeveralKeys):
		return nil, invalidClient("The kid of the client assertion names several keys of the app's key set. Give each key a kid of its own.", false)
	case errors.Is(err, jwks.ErrNoKey):
		return nil, invalidClient("The kid of the client assertion names no key of the app's key set that fits: RS384 needs an RSA key of 2048 bits or more, ES384 an EC key on the curve P-384, for signing. A key that was just added counts after at most 30 seconds.", false)
	}
	return key, err
}

// secondsOf is the time of a claim.
func secondsOf(seconds float64) time.Time {
	const most = 1 << 40 // beyond it the arithmetic of times overflows
	return time.UnixMilli(int64(min(max(seconds, 0), most) * 1000))
}
