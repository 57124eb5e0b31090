package smart_test

import (
	"errors"
	"strings"
	"testing"

	"fhirlink/shared/smart"
)

func TestSeparators(t *testing.T) {
	const good = "-~!^;@'()<>[]{}`"
	for c := range 256 {
		s := string([]byte{byte(c)})
		sep, err := smart.ParseSeparator(s)
		if want := strings.Contains(good, s); (err == nil) != want {
			t.Errorf("separator %q: %v", s, err)
		}
		if err == nil && sep.String() != s {
			t.Errorf("separator %q is %q", s, sep)
		}
		if _, newErr := smart.New(smart.Options{Separator: smart.Separator(c)}); c != 0 && (newErr == nil) != (err == nil) {
			t.Errorf("New with separator %q: %v", s, newErr)
		}
	}
	for _, s := range []string{"", "--", "é", "𝛑", "- "} {
		if _, err := smart.ParseSeparator(s); code(err) != "invalid_separator" {
			t.Errorf("separator %q: %v", s, err)
		}
	}
	if _, err := smart.ParseSeparator("|"); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("no reason: %v", err)
	}
}

// TestDefaultScopeThatAHDSDecodes: Azure Health Data Services would read a different resource.
func TestDefaultScopeThatAHDSDecodes(t *testing.T) {
	const scope = "https://fhir.example/a%2Fb/.default"
	if got, err := translator(t, smart.Options{}).Encode(scope); got != scope {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := translator(t, smart.Options{Dialect: smart.AHDS}).Encode(scope); code(err) != "lossy" {
		t.Errorf("%q, %v", got, err)
	}
}

func mistakes(err error) string {
	found, _ := errors.AsType[smart.Mistakes](err)
	var all []string
	for _, m := range found {
		all = append(all, m.Field+" "+m.Code)
	}
	return strings.Join(all, ", ")
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		options smart.Options
		want    string
	}{
		{smart.Options{}, ""},
		{smart.Options{Dialect: "okta"}, "dialect unknown_dialect"},
		{smart.Options{Dialect: smart.AHDS, Separator: '-'}, "separator separator_not_used"},
		{smart.Options{Separator: '/', Resource: "a b"}, "separator invalid_separator, resource invalid_resource"},
		{smart.Options{Resource: "a\tb"}, "resource invalid_resource"},
		{smart.Options{Resource: "a%20b"}, "resource invalid_resource"},
		{smart.Options{Resource: "a%2Fb"}, ""},
		{smart.Options{Resource: "a%2Fb", Dialect: smart.AHDS}, "resource invalid_resource"},
		{smart.Options{Resource: "https://x/.default"}, "resource invalid_resource"},
		{smart.Options{Resource: "https://x/"}, ""},
	} {
		_, err := smart.New(c.options)
		if got := mistakes(err); got != c.want {
			t.Errorf("%+v: %s, want %s", c.options, got, c.want)
		}
	}
}

func TestDefaultScopes(t *testing.T) {
	tr := translator(t, smart.Options{Resource: "api://fhir"})
	for _, s := range []string{
		"https://fhir.example/.default", "https://fhir.example//.default", "api://x/.default", "urn:x:y/.default",
		"11111111-1111-4111-8111-111111111111/.default", "ABCDEF00-1111-4111-8111-111111111111/.default", "https://[2001:db8::1]/.default",
	} {
		if got, err := tr.Encode(s); got != s || err != nil {
			t.Errorf("%q = %q, %v; want it unchanged", s, got, err)
		}
	}
	for _, s := range []string{
		"https://fhir.example/.default?x", "https://fhir.example?x/.default", "https://fhir.example#x/.default", "https:///.default", "https:///x/.default", "https:/.default", ":/.default",
		"1x:y/.default", "fhir.example/.default", "11111111-1111-4111-8111-11111111111/.default", "11111111-1111-4111-8111-11111111111g/.default",
		"111111111111141118111-11111111111111/.default", "/.default", "https://fhir.example/.DEFAULT", `https://a\b/.default`, "patient/.default", "OpenID",
	} {
		if got, err := tr.Encode(s); err != nil || !strings.HasPrefix(got, "api://fhir/") || strings.Count(got, "/") != 3 {
			t.Errorf("%q = %q, %v; want it encoded", s, got, err)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, c := range []struct{ setting, want string }{
		{"", ""},
		{" {} ", ""},
		{`{"patient/A.r":"a","patient/B.r":"b"}`, ""},
		{`{"fhirUser":"fhirUser"}`, ""},
		{`{"patient/A.r":"a","patient/B.r":"a"}`, "aliases alias_collision"},
		{`{"a":"b","b":"c"}`, "aliases alias_collision"},
		{`{"a":"b","b":"a"}`, "aliases alias_collision, aliases alias_collision"},
		{`{"a":""}`, "aliases invalid_alias"},
		{`{"":"a"}`, "aliases invalid_alias"},
		{`{"a b":"c"}`, "aliases invalid_alias"},
		{`{"a":"b c"}`, "aliases invalid_alias"},
		{`{"a":"b/c"}`, "aliases invalid_alias"},
		{`{"a":"b\\c"}`, "aliases invalid_alias"},
		{`{"a":"b%2Fc"}`, "aliases invalid_alias"},
		{`{"a":".b"}`, "aliases invalid_alias"},
		{`{"a":"` + strings.Repeat("b", 121) + `"}`, "aliases invalid_alias"},
		{`{"a":"openid"}`, "aliases invalid_alias"},
		{`{"openid":"a"}`, "aliases invalid_alias"},
		{`{"a":".default"}`, "aliases invalid_alias"},
		{`{"a":"system.all.all"}`, "aliases invalid_alias"},
		{`{"a":"system-x"}`, "aliases invalid_alias"},
		{`{"a":"launch"}`, "aliases invalid_alias"},
		{`{"a":"users"}`, ""},
		{`{"a":"user_impersonation"}`, ""},
		{`{"a":"b","a":"b"}`, "aliases invalid_aliases"},
		{`{"a":1}`, "aliases invalid_aliases"},
		{`{"a":"b"} x`, "aliases invalid_aliases"},
		{`["a"]`, "aliases invalid_aliases"},
		{`{"a"`, "aliases invalid_aliases"},
		{`{"a":"b"`, "aliases invalid_aliases"},
		{`{a:"b"}`, "aliases invalid_aliases"},
	} {
		_, err := smart.ParseAliases(c.setting)
		if got := mistakes(err); got != c.want {
			t.Errorf("%s: %q, want %q", c.setting, got, c.want)
		}
	}
}

func TestAliasesOfSettingAndRequest(t *testing.T) {
	base, err := smart.NewAliases(map[string]string{"patient/A.r": "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ scope, value, want string }{
		{"patient/B.r", "b", ""},
		{"patient/A.r", "a", ""},
		{"patient/A.r", "b", "aliases alias_collision"},
		{"patient/B.r", "a", "aliases alias_collision"},
		{"a", "b", "aliases alias_collision"},
		{"patient/B.r", "patient/A.r", "aliases invalid_alias"},
	} {
		both, err := base.With(map[string]string{c.scope: c.value})
		if got := mistakes(err); got != c.want {
			t.Errorf("%s as %s: %q, want %q", c.scope, c.value, got, c.want)
		}
		if err == nil {
			if got, err := translator(t, smart.Options{Aliases: both}).Encode(c.scope); got != c.value {
				t.Errorf("%s = %q, %v", c.scope, got, err)
			}
		}
	}
	if got, err := translator(t, smart.Options{Aliases: base}).Encode("patient/B.r"); got != "patient-B.r" {
		t.Errorf("With changed its receiver: %q, %v", got, err)
	}
}

// TestAliasesCollideWithScopes: no other scope can be written like an alias, and the long
// spelling of a scope with an alias is refused.
func TestAliasesCollideWithScopes(t *testing.T) {
	aliases, err := smart.NewAliases(map[string]string{"patient/A.r": "doc-ref"})
	if err != nil {
		t.Fatal(err)
	}
	tr := translator(t, smart.Options{Aliases: aliases, Resource: "api://x"})
	if _, err := tr.Encode("doc/ref"); code(err) != "alias_collision" {
		t.Errorf("%v", err)
	}
	if _, err := tr.Decode("api://x/patient-A.r"); code(err) != "not_canonical" {
		t.Errorf("%v", err)
	}
	if got, err := tr.Decode("api://x/doc-ref"); got != "patient/A.r" {
		t.Errorf("%q, %v", got, err)
	}
}
