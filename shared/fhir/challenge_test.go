package fhir_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"fhirlink/shared/fhir"
)

func TestParseChallenges(t *testing.T) {
	type challenges = []fhir.Challenge
	bearer := func(pairs ...string) fhir.Challenge {
		c := fhir.Challenge{Scheme: "Bearer", Params: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			c.Params[pairs[i]] = pairs[i+1]
		}
		return c
	}
	const authority, audience = "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111", "https://ws.fhir.azurehealthcareapis.com"
	tests := []struct {
		name   string
		values []string
		want   challenges
	}{
		{"none", nil, nil},
		{"blank", []string{"", " , "}, nil},
		{"scheme alone", []string{"Bearer"}, challenges{bearer()}},
		{
			"Microsoft's FHIR service",
			[]string{`Bearer authorization_uri="` + authority + `", resource_id="` + audience + `", realm="` + audience + `"`},
			challenges{bearer("authorization_uri", authority, "resource_id", audience, "realm", audience)},
		},
		{
			"an older build, without quotes",
			[]string{"Bearer authorization_uri=" + authority + ", resource_id=" + audience},
			challenges{bearer("authorization_uri", authority, "resource_id", audience)},
		},
		{
			"with an error",
			[]string{`Bearer realm="x", error="invalid_token", error_description="The audience 'https://x' is invalid"`},
			challenges{bearer("realm", "x", "error", "invalid_token", "error_description", "The audience 'https://x' is invalid")},
		},
		{"commas and equal signs in quotes", []string{`Bearer realm="a, b=c, Basic", error="x"`}, challenges{bearer("realm", "a, b=c, Basic", "error", "x")}},
		{"escapes", []string{`Bearer realm="a\"b\\c"`}, challenges{bearer("realm", `a"b\c`)}},
		{"space around the equal sign", []string{`Bearer realm = "x" , error = y`}, challenges{bearer("realm", "x", "error", "y")}},
		{"no commas", []string{`Bearer realm="x" error="y"`}, challenges{bearer("realm", "x", "error", "y")}},
		{"unterminated", []string{`Bearer realm="x, error="y"`}, challenges{bearer("realm", "x, error="), {Scheme: "y", Params: map[string]string{}}}},
		{"upper case names", []string{`BEARER Realm="x"`}, challenges{{Scheme: "BEARER", Params: map[string]string{"realm": "x"}}}},
		{"first of repeated names", []string{`Bearer realm="x", realm="y"`}, challenges{bearer("realm", "x")}},
		{"parameter without scheme", []string{`realm="x", Bearer error="y"`}, challenges{bearer("error", "y")}},
		{
			"several in one header",
			[]string{`Negotiate, Basic realm="b", charset="UTF-8", Bearer realm="x"`},
			challenges{{Scheme: "Negotiate", Params: map[string]string{}}, {Scheme: "Basic", Params: map[string]string{"realm": "b", "charset": "UTF-8"}}, bearer("realm", "x")},
		},
		{
			"several headers",
			[]string{`Basic realm="b"`, `Bearer realm="x"`},
			challenges{{Scheme: "Basic", Params: map[string]string{"realm": "b"}}, bearer("realm", "x")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fhir.ParseChallenges(http.Header{"Www-Authenticate": tt.values})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{`Bearer a="b", c=d`, `Bearer`, `a="\`, `Negotiate TlRM==`, `Basic realm="x", Bearer =,=,"`, strings.Repeat("A ", 100), strings.Repeat("a=b,", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		all := fhir.ParseChallenges(http.Header{"Www-Authenticate": {value, value}})
		if len(all) > 16 {
			t.Fatalf("%d challenges", len(all))
		}
		for _, c := range all {
			if c.Scheme == "" || len(c.Params) > 32 {
				t.Fatalf("%+v", c)
			}
			for name, text := range c.Params {
				if name != strings.ToLower(name) || len(text) > len(value) {
					t.Fatalf("%q=%q of %q", name, text, value)
				}
			}
		}
	})
}
