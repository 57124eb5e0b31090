package resource_test

import (
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"fhirlink/functions/cmd/local/sandbox/resource"
)

func TestClaims(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	issuer := resource.Issuer{Names: []string{"http://localhost/api/smart/clinic", "https://sts.windows.net/t/"}, Audience: "https://clinic", Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one"}}}
	good := jwt.MapClaims{"iss": issuer.Names[0], "aud": issuer.Audience, "exp": now.Add(time.Minute).Unix(), "nbf": now.Unix(), "scope": "patient/*.rs", "scp": "patient~*.rs", "patient": "p-1", "fhirUser": "x/Patient/p-1", "roles": []string{"smartUser"}}
	for _, tt := range []struct {
		name   string
		change jwt.MapClaims
		method jwt.SigningMethod
		key    any
		kid    string
		good   bool
	}{
		{"good", nil, jwt.SigningMethodRS256, key, "one", true},
		{"several audiences", jwt.MapClaims{"aud": []string{"x", issuer.Audience}}, jwt.SigningMethodRS256, key, "one", true},
		{"the other name of the issuer", jwt.MapClaims{"iss": "https://sts.windows.net/t/"}, jwt.SigningMethodRS256, key, "one", true},
		{"no issuer", jwt.MapClaims{"iss": nil}, jwt.SigningMethodRS256, key, "one", false},
		{"another link's", jwt.MapClaims{"iss": "http://localhost/api/smart/other"}, jwt.SigningMethodRS256, key, "one", false},
		{"an id token", jwt.MapClaims{"aud": "sandbox-app"}, jwt.SigningMethodRS256, key, "one", false},
		{"expired", jwt.MapClaims{"exp": now.Unix()}, jwt.SigningMethodRS256, key, "one", false},
		{"no end", jwt.MapClaims{"exp": nil}, jwt.SigningMethodRS256, key, "one", false},
		{"not yet", jwt.MapClaims{"nbf": now.Add(time.Minute).Unix()}, jwt.SigningMethodRS256, key, "one", false},
		{"forged", nil, jwt.SigningMethodRS256, another, "one", false},
		{"unknown key", nil, jwt.SigningMethodRS256, key, "two", false},
		{"another algorithm", nil, jwt.SigningMethodRS384, key, "one", false},
		{"unsigned", nil, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "one", false},
	} {
		claims := maps.Clone(good)
		maps.Copy(claims, tt.change)
		token := jwt.NewWithClaims(tt.method, claims)
		token.Header["kid"] = tt.kid
		signed, err := token.SignedString(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := issuer.Claims(signed, now)
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.good && (got.Scope != "patient/*.rs" || got.SCP != "patient~*.rs" || got.Patient != "p-1" || got.FHIRUser != "x/Patient/p-1" || len(got.Roles) != 1) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
