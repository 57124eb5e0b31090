package smart_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirlink/shared/smart"
)

// smartScope draws realistic and unrealistic scopes.
func smartScope() *rapid.Generator[string] {
	resource := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"patient", "user", "system"}).Draw(t, "context") + "/" +
			rapid.SampledFrom([]string{"*", "Observation", "Patient", "all", "Obs-x"}).Draw(t, "type") + "." +
			rapid.SampledFrom([]string{"rs", "cruds", "read", "*", "all", "sr", "rr"}).Draw(t, "permissions") +
			rapid.SampledFrom([]string{"", "?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory", `?_id=a\b-c`, "?x=$1", "?code:in=a&b.c=d"}).Draw(t, "query")
	})
	return rapid.OneOf(resource,
		rapid.SampledFrom([]string{"openid", "profile", "offline_access", "fhirUser", "launch", "launch/patient", ".default", "https://fhir.example/.default", "my-scope"}),
		rapid.StringMatching(`[!-~]{1,20}`))
}

func anyOptions() *rapid.Generator[smart.Options] {
	return rapid.Custom(func(t *rapid.T) smart.Options {
		o := smart.Options{
			Dialect:  rapid.SampledFrom([]smart.Dialect{smart.Firely, smart.AHDS, smart.FHIRServerProxy, smart.AADProxy}).Draw(t, "dialect"),
			Resource: rapid.SampledFrom([]string{"", "https://fhir.example", "https://fhir.example/", "11111111-1111-4111-8111-111111111111", "x"}).Draw(t, "resource"),
		}
		if o.Dialect == smart.Firely {
			o.Separator = smart.Separator(rapid.SampledFrom([]byte("-~!^;@'()<>[]{}`")).Draw(t, "separator"))
		}
		return o
	})
}

func draw(t *rapid.T) (*smart.Translator, []string, smart.Results) {
	tr, err := smart.New(anyOptions().Draw(t, "options"))
	if err != nil {
		t.Fatal(err)
	}
	scopes := rapid.SliceOfN(smartScope(), 1, 12).Draw(t, "scopes")
	return tr, scopes, tr.EncodeAll(scopes)
}

// TestListsComeBack: there is one result per distinct scope, in order. The joined results decode
// to the input without duplicates. No list is translated in part.
func TestListsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr, scopes, results := draw(t)
		var inputs []string
		for _, r := range results {
			inputs = append(inputs, r.Input)
			if (r.Error == nil) == (r.Output == "") {
				t.Fatalf("%+v has both or neither of output and error", r)
			}
		}
		if !slices.Equal(inputs, distinct(scopes)) {
			t.Fatalf("%q gives results for %q", scopes, inputs)
		}
		if results.Refused() {
			return
		}
		back := tr.DecodeAll(smart.Split(results.Scope()))
		if back.Scope() != strings.Join(inputs, " ") {
			t.Fatalf("%q gives %q, which gives %q", scopes, results.Scope(), back.Scope())
		}
	})
}

// TestEncodingIsOneToOne: no two scopes share a value.
func TestEncodingIsOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr, scopes, _ := draw(t)
		from := map[string]string{}
		for _, s := range distinct(scopes) {
			value, err := tr.Encode(s)
			if other, taken := from[value]; err == nil && taken {
				t.Fatalf("%q and %q are both %q", s, other, value)
			}
			if err == nil {
				from[value] = s
			}
		}
	})
}

// TestAdviceIsWhole: every refusal and every warning has a code, a message and a fix, and
// registrable agrees with the reasons.
func TestAdviceIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, results := draw(t)
		for _, r := range results {
			all := r.Warnings
			if r.Error != nil {
				all = append(all, smart.Advice(*r.Error))
				if r.Entra.Registrable {
					t.Fatalf("%q is refused, and yet registrable", r.Input)
				}
			} else if r.Entra.Registrable != (len(r.Entra.Reasons) == 0) {
				t.Fatalf("%+v", r.Entra)
			}
			for _, a := range all {
				if a.Code == "" || a.Message == "" || a.Fix == "" {
					t.Fatalf("%q: %+v", r.Input, a)
				}
			}
		}
	})
}

// TestArtefactsAreSound: each scope is in one collection or skipped, values and ids are unique, and
// every value can be registered. Ids do not depend on the rest of the list.
func TestArtefactsAreSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr, _, results := draw(t)
		a := tr.Artefacts(results)
		values, ids := map[string]bool{}, map[string]bool{}
		add := func(id, value string) {
			if values[value] || ids[id] || len(value) > smart.MaxLength || strings.ContainsAny(value, `/\" `) || strings.HasPrefix(value, ".") {
				t.Fatalf("%s %q is not sound", id, value)
			}
			values[value], ids[id] = true, true
		}
		for _, r := range a.AppRoles {
			add(r.ID, r.Value)
			if len(r.DisplayName) > 100 {
				t.Fatalf("%q is too long", r.DisplayName)
			}
		}
		for _, s := range a.OAuth2PermissionScopes {
			add(s.ID, s.Value)
		}
		if len(values)+len(a.Skipped) != len(results) {
			t.Fatalf("%d values and %d skipped of %d", len(values), len(a.Skipped), len(results))
		}
		slices.Reverse(results)
		for _, r := range tr.Artefacts(results).AppRoles {
			if !ids[r.ID] {
				t.Fatalf("the id of %q depends on the list", r.Value)
			}
		}
	})
}

// TestParseKeepsTheText: parsing loses nothing.
func TestParseKeepsTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(smartScope(), rapid.String()).Draw(t, "scope")
		if p := smart.Parse(s); p.String() != s || p.Kind == "" {
			t.Fatalf("%q is parsed as %+v", s, p)
		}
	})
}
