package entra_test

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/entra"
)

func unsigned(payload string) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestParseClaims(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		want          entra.Claims
	}{
		{
			"a FHIR service's token, version 1",
			`{"aud":"` + audience + `","iss":"https://sts.windows.net/` + tenant + `/","iat":1795416899,"exp":1795420799,"appid":"` + client + `","oid":"o","tid":"` + tenant + `","ver":"1.0","aio":"x"}`,
			entra.Claims{Audience: []string{audience}, Issuer: "https://sts.windows.net/" + tenant + "/", TenantID: tenant, AppID: client, ObjectID: "o", Expires: time.Unix(1795420799, 0).UTC(), Version: "1.0"},
		},
		{
			"version 2 with roles",
			`{"aud":["a","b"],"azp":"` + client + `","roles":["r1","r2"],"ver":"2.0"}`,
			entra.Claims{Audience: []string{"a", "b"}, AppID: client, Roles: []string{"r1", "r2"}, Version: "2.0"},
		},
		{"nothing known", `{}`, entra.Claims{}},
		{"nulls", `{"aud":null,"roles":null,"exp":null}`, entra.Claims{}},
		{"a fraction of a second", `{"exp":1.5}`, entra.Claims{Expires: time.Unix(1, 0).UTC()}},
		{"an end no calendar holds", `{"exp":1e300}`, entra.Claims{}},
		{"an end before all time", `{"exp":-5}`, entra.Claims{}},
	} {
		got, err := entra.ParseClaims(unsigned(c.payload))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v (%v)\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestParseClaimsRefuses(t *testing.T) {
	for name, token := range map[string]string{
		"empty":               "",
		"opaque":              canary,
		"two parts":           "a.b",
		"five parts, a JWE":   "a.b.c.d.e",
		"no base64":           "a." + canary + ".c",
		"no JSON":             unsigned(canary),
		"no object":           unsigned(`["` + canary + `"]`),
		"audience a number":   unsigned(`{"aud":1}`),
		"audience of objects": unsigned(`{"aud":[{}]}`),
		"too large":           unsigned(`{"x":"` + strings.Repeat("x", 16<<10) + `"}`),
	} {
		_, err := entra.ParseClaims(token)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want an error that does not repeat the token", name, err)
		}
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add(unsigned(`{"aud":"a","exp":1795420799}`))
	f.Add(unsigned(`{"aud":["a"],"roles":["r"],"tid":"t"}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := entra.ParseClaims(token)
		if err != nil && !reflect.DeepEqual(c, entra.Claims{}) {
			t.Errorf("an error with claims: %+v", c)
		}
		if !c.Expires.IsZero() && (c.Expires.Year() > 9999 || c.Expires.Location() != time.UTC) {
			t.Errorf("Expires = %v", c.Expires)
		}
		if slices.Contains(c.Audience, "") && !strings.Contains(token, ".") {
			t.Errorf("Audience = %q", c.Audience)
		}
	})
}
