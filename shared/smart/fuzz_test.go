package smart_test

import (
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/smart"
)

var seeds = []string{
	"patient/Observation.r", "patient/*.*", "user/all.all", "launch", "launch/patient", "openid", "offline_access", "fhirUser", ".default",
	"https://fhir.example/.default", "11111111-1111-4111-8111-111111111111/.default", "fhir/.default", "patient/.default",
	`patient/Observation.r?_id=Id-With-Dashes`, `patient/Observation.r?_id=Id\With\BackwardSlash`, `patient\-Observation.r`, `\`, `\\`, `a\`, "-", "~",
	typical, typicalEncoded, "patient.Observation.rs?category=http:%2f%2floinc.org|1", "patient.all.all", "patient$*.read", "user~*.rs",
	"patient/Observation.r?_tag=a%20b", "patient/Observation.r?x=%2F%2f%25%41%", "a%2\\0", "%", "%2", "é", "a\x00b", "a\u00a0b", `a"b`, "x/%/2f",
	"https://fhir.example", "https://fhir.example/", "https://fhir.example/openid", "https://fhir.example/patient-*.rs", "system/a/b.c?d/e",
}

// each calls f for the four dialects, with and without the resource. It skips settings that New
// refuses.
func each(separator byte, resource string, aliases smart.Aliases, f func(*smart.Translator)) {
	for _, o := range []smart.Options{
		{Separator: smart.Separator(separator)},
		{Dialect: smart.AHDS},
		{Dialect: smart.FHIRServerProxy},
		{Dialect: smart.AADProxy},
	} {
		o.Aliases = aliases
		if tr, err := smart.New(o); err == nil {
			f(tr)
		}
		o.Resource = resource
		if tr, err := smart.New(o); err == nil {
			f(tr)
		}
	}
}

// FuzzRoundTrip: in every dialect, Decode restores what Encode accepts, and Encode restores what
// Decode accepts. The result is one legal scope.
func FuzzRoundTrip(f *testing.F) {
	for i, s := range seeds {
		f.Add(s, "-~!^"[i%4], "https://fhir.example", seeds[(i+7)%len(seeds)], "an-alias")
	}
	f.Fuzz(func(t *testing.T, s string, separator byte, resource, aliased, alias string) {
		aliases, err := smart.NewAliases(map[string]string{aliased: alias})
		if err != nil {
			aliases = smart.Aliases{}
		}
		each(separator, resource, aliases, func(tr *smart.Translator) {
			for _, in := range []string{s, aliased, alias} {
				checkRoundTrip(t, tr, in)
			}
		})
	})
}

func checkRoundTrip(t *testing.T, tr *smart.Translator, s string) {
	if value, err := tr.Encode(s); err == nil {
		if back, err := tr.Decode(value); err != nil || back != s {
			t.Fatalf("%s: %q is encoded as %q, which decodes to %q, %v", tr.Dialect(), s, value, back, err)
		}
		checkLegal(t, value)
	}
	if scope, err := tr.Decode(s); err == nil {
		if again, err := tr.Encode(scope); err != nil || again != s {
			t.Fatalf("%s: %q is decoded as %q, which encodes to %q, %v", tr.Dialect(), s, scope, again, err)
		}
		checkLegal(t, scope)
	}
}

func checkLegal(t *testing.T, s string) {
	for _, s := range []string{s, unescape(s)} {
		if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' }); i >= 0 || s == "" {
			t.Fatalf("%q is no scope", s)
		}
	}
}

// FuzzReceiver: Microsoft's FHIR server and Firely Server read exactly the encoded scopes, no
// more and no fewer.
func FuzzReceiver(f *testing.F) {
	for i, s := range seeds {
		f.Add(s + " " + seeds[(i*7+3)%len(seeds)])
	}
	f.Fuzz(checkReceivers)
}

// FuzzConversion: a conversion from any dialect to any other and back restores the list, and each
// result keeps its form.
func FuzzConversion(f *testing.F) {
	for i, s := range seeds {
		f.Add(s+" "+seeds[(i*7+3)%len(seeds)], "-~!^"[i%4], "https://fhir.example", byte(i))
	}
	f.Fuzz(func(t *testing.T, list string, separator byte, resource string, pick byte) {
		var all []*smart.Translator
		each(separator, resource, smart.Aliases{}, func(tr *smart.Translator) { all = append(all, tr) })
		n := byte(len(all))
		checkConversion(t, all[pick%n], all[pick/n%n], smart.Split(list))
	})
}

func checkConversion(t *testing.T, from, to *smart.Translator, values []string) {
	results := smart.Conversion{From: from, To: to}.All(values)
	for _, r := range results {
		if (r.Error == nil) != (r.Output != "") || r.Warnings == nil || r.Entra.Reasons == nil || r.Kind == "" {
			t.Fatalf("%q gives %+v", values, r)
		}
	}
	if results.Refused() {
		return
	}
	outputs := strings.Fields(results.Scope())
	back := smart.Conversion{From: to, To: from}.All(outputs)
	if strings.Join(distinct(values), " ") != back.Scope() {
		t.Fatalf("%s to %s and back: %q, %q, %q", from.Dialect(), to.Dialect(), values, outputs, back.Scope())
	}
}

func distinct(values []string) []string {
	var all []string
	for _, v := range values {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}
