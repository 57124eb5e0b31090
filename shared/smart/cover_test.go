package smart

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"patient/Observation.rs", "patient/Observation.rs", true},
		{"patient/Observation.rs", "patient/Observation.r", true},
		{"patient/Observation.r", "patient/Observation.rs", false},
		{"patient/*.rs", "patient/Observation.s", true},
		{"patient/Observation.rs", "patient/*.rs", false},
		{"patient/*.cruds", "user/Observation.r", false},
		{"user/*.cruds", "patient/Observation.r", false},
		{"patient/Observation.read", "patient/Observation.rs", true},
		{"patient/Observation.rs", "patient/Observation.read", true},
		{"patient/Observation.rs", "patient/Observation.write", false},
		{"patient/Observation.write", "patient/Observation.cud", true},
		{"patient/Observation.write", "patient/Observation.u", true},
		{"patient/Observation.write", "patient/Observation.r", false},
		{"patient/*.*", "patient/Patient.cruds", true},
		{"patient/Observation.cruds", "patient/Observation.*", true},
		{"patient/Observation.crud", "patient/Observation.*", false},
		{"patient/Observation.rs", "patient/Observation.rs?category=laboratory", true},
		{"patient/Observation.rs?category=laboratory", "patient/Observation.rs", false},
		{"patient/Observation.rs?category=laboratory", "patient/Observation.r?category=laboratory", true},
		{"patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=vital-signs", false},
		{"patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=laboratory&status=final", false},
		{"patient/Observation.rs?", "patient/Observation.rs", false},
		{"patient/Observation.rs", "patient/Observation.rs?", true},
		{"launch/patient", "launch/patient", true},
		{"launch/patient", "launch/patient?role=x", true},
		{"launch/patient?role=x", "launch/patient", false},
		{"launch/patient?role=x", "launch/patient?role=y", false},
		{"launch", "launch/patient", false},
		{"launch", "launch?x", true},
		{"openid", "openid", true},
		{"openid", "profile", false},
		{"fhirUser", "fhirUser", true},
		{"custom", "custom?x", false},
		{"patient/Observation.rx", "patient/Observation.rx", true},
		{"patient/Observation.rx", "patient/Observation.r", false},
		{"patient/*.cruds", "patient/Observation.rx", false},
		{"patient/*.cruds", "patient/Observation.", false},
		{"patient/*.cruds", "patient/.r", false},
		{"patient/.cruds", "patient/.r", false},
		{"patient/Observation.rs", "Patient/Observation.rs", false},
		{"patient/Observation.rs", "patient/observation.rs", false},
		{"patient/*.rs", "patient/user/Patient.rs", false},
		{"patient/*.rs", "patient/A,user/*.rs", false},
		{"patient/Observation.rs", "patient/Observation.rs?a=b,user/*.cruds", false},
		{"patient/*.rs", "patient/*x.rs", false},
		{"patient/*.rs", "patient/$export.rs", false},
		{"patient/*.rs", "patient/Observation.sr", false},
		{"patient/*.rs", "patient/Observation.rr", false},
		{"patient/Observation.sr", "patient/Observation.sr", true}, // itself
		{"", "", true},
		{"", "openid", false},
	} {
		if got := Covers(Parse(tt.a), Parse(tt.b)); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.a, tt.b, got)
		}
	}
}

// allowed are the single rights that a resource scope gives, as far as any scope of anyScope can tell
// them apart: context, type, query and letter.
func allowed(text string) map[string]bool {
	head, query, granular := strings.Cut(text, "?")
	context, rest, _ := strings.Cut(head, "/")
	kind, permissions, _ := strings.Cut(rest, ".")
	permissions = strings.NewReplacer("read", "rs", "write", "cud", "*", "cruds").Replace(permissions)
	kinds, queries := []string{kind}, []string{query}
	if kind == "*" {
		kinds = append(coverTypes[1:], "AnyOther")
	}
	if !granular {
		queries = []string{"none", "a=1", "a=2", "b=1&a=1"}
	}
	rights := map[string]bool{}
	for _, k := range kinds {
		for _, q := range queries {
			for _, letter := range permissions {
				rights[context+" "+k+" "+q+" "+string(letter)] = true
			}
		}
	}
	return rights
}

var coverTypes = []string{"*", "Observation", "Patient", "Condition"}

func anyScope(r *rand.Rand) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	letters := ""
	for letters == "" {
		for _, letter := range "cruds" {
			if r.IntN(2) == 0 {
				letters += string(letter)
			}
		}
	}
	return one("patient", "user", "system") + "/" + one(coverTypes...) + "." + one("read", "write", "*", letters, letters, letters) + one("", "", "?a=1", "?a=2", "?b=1&a=1")
}

// TestCoversIsInclusion: a scope covers another one exactly when it gives all of its rights; and what
// covers is reflexive and transitive.
func TestCoversIsInclusion(t *testing.T) {
	pairs := 1_000_000
	if testing.Short() {
		pairs = 20_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	scopes, rights := make([]Scope, 600), make([]map[string]bool, 600)
	for i := range scopes {
		text := anyScope(r)
		scopes[i], rights[i] = Parse(text), allowed(text)
	}
	covering := 0
	for range pairs {
		i, j, k := r.IntN(len(scopes)), r.IntN(len(scopes)), r.IntN(len(scopes))
		included := true
		for right := range rights[j] {
			included = included && rights[i][right]
		}
		got := Covers(scopes[i], scopes[j])
		if got != included {
			t.Fatalf("%s covers %s: %v", scopes[i], scopes[j], got)
		}
		if got {
			covering++
		}
		if got && Covers(scopes[j], scopes[k]) && !Covers(scopes[i], scopes[k]) || !Covers(scopes[i], scopes[i]) {
			t.Fatalf("%s, %s and %s: not transitive or not reflexive", scopes[i], scopes[j], scopes[k])
		}
	}
	if covering < pairs/200 {
		t.Errorf("only %d of %d pairs cover", covering, pairs)
	}
}

// FuzzCovers: whatever the texts are, what covers has all rights of what is covered.
func FuzzCovers(f *testing.F) {
	f.Add("patient/*.rs", "patient/Observation.r?a=1")
	f.Add("launch/patient", "launch/patient?role=x")
	f.Add("user/Patient.read", "user/Patient.rs")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Parse(a), Parse(b)
		if !Covers(x, x) {
			t.Errorf("%q does not cover itself", a)
		}
		if !Covers(x, y) || a == b {
			return
		}
		if x.Kind != y.Kind || x.Kind == OIDC || x.Kind == Custom || x.Context != y.Context || x.Kind == Resource && x.Type != y.Type && x.Type != "*" {
			t.Errorf("%q covers %q", a, b)
		}
	})
}
