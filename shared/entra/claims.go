package entra

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// maxToken is the greatest length of an access token in bytes, for the tokens of FHIR servers and
// for those of our callers. Entra keeps tokens far below what HTTP servers accept in a header.
const maxToken = 16 << 10

// Claims are the claims of an access token. They are not validated: use them to look at tokens
// that we obtained for others, never to trust a caller.
type Claims struct {
	Audience []string // "aud", a string or an array of strings (RFC 7519 §4.1.3)
	Issuer   string
	TenantID string // "tid"
	AppID    string // "appid" of v1 tokens, "azp" of v2 tokens
	ObjectID string // "oid": the service principal that roles are assigned to
	Roles    []string
	Scopes   string    // "scp": the delegated scopes, separated by spaces
	Expires  time.Time // "exp"; zero when absent
	Version  string    // "ver"
}

// ParseClaims reads the claims of a JWT in its compact form. The error quotes nothing of the
// token. Opaque tokens are allowed elsewhere, but have no claims and are an error here.
func ParseClaims(token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, fmt.Errorf("the token has more than %d bytes", maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, errors.New("the token is not a JWT: it has no three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Claims{}, errors.New("the token is not a JWT: its payload is not base64url")
	}
	var wire struct {
		Audience stringOrList `json:"aud"`
		Issuer   string       `json:"iss"`
		TenantID string       `json:"tid"`
		AppID    string       `json:"appid"`
		Azp      string       `json:"azp"`
		ObjectID string       `json:"oid"`
		Roles    []string     `json:"roles"`
		Scopes   any          `json:"scp"`
		Expires  float64      `json:"exp"`
		Version  string       `json:"ver"`
	}
	if err := json.Unmarshal(payload, &wire); err != nil {
		return Claims{}, errors.New("the token is not a JWT: its payload is not an object of the usual claims")
	}
	scopes, _ := wire.Scopes.(string)
	return Claims{
		Scopes: scopes, Audience: wire.Audience, Issuer: wire.Issuer, TenantID: wire.TenantID,
		AppID: cmp.Or(wire.AppID, wire.Azp), ObjectID: wire.ObjectID,
		Roles: wire.Roles, Expires: numericDate(wire.Expires), Version: wire.Version,
	}, nil
}

type stringOrList []string

// UnmarshalJSON reads a string or an array of strings.
func (l *stringOrList) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*l = []string{""}
		return json.Unmarshal(data, &(*l)[0])
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// numericDate reads seconds since 1970 (RFC 7519 §2). It returns the zero time for a value that
// is out of range.
func numericDate(seconds float64) time.Time {
	if !(seconds > 0) || seconds > math.MaxInt32*100 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
