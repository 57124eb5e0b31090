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

// maxToken bounds access tokens, theirs and ours: Entra keeps them far below what HTTP
// servers take as a header.
const maxToken = 16 << 10

// Claims are what an access token says of itself. Nothing is validated: this is for looking
// at tokens that we were given for others, never for trusting a caller.
type Claims struct {
	Audience []string // "aud", a string or an array of strings (RFC 7519 §4.1.3)
	Issuer   string
	TenantID string // "tid"
	AppID    string // "appid" of v1 tokens, "azp" of v2 tokens
	ObjectID string // "oid": the service principal that roles are assigned to
	Roles    []string
	Expires  time.Time // "exp"; zero when absent
	Version  string    // "ver"
}

// ParseClaims reads the claims of a JWT in its compact form. The error says nothing of the
// token's content; opaque tokens, which are allowed, have no claims and are an error here.
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
		Expires  float64      `json:"exp"`
		Version  string       `json:"ver"`
	}
	if err := json.Unmarshal(payload, &wire); err != nil {
		return Claims{}, errors.New("the token is not a JWT: its payload is not an object of the usual claims")
	}
	return Claims{
		Audience: wire.Audience, Issuer: wire.Issuer, TenantID: wire.TenantID,
		AppID: cmp.Or(wire.AppID, wire.Azp), ObjectID: wire.ObjectID,
		Roles: wire.Roles, Expires: numericDate(wire.Expires), Version: wire.Version,
	}, nil
}

type stringOrList []string

func (l *stringOrList) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*l = []string{""}
		return json.Unmarshal(data, &(*l)[0])
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// numericDate reads seconds since 1970 (RFC 7519 §2); zero for what no calendar holds.
func numericDate(seconds float64) time.Time {
	if !(seconds > 0) || seconds > math.MaxInt32*100 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
