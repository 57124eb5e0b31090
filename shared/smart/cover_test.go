package smart

import (
	"regexp"
	"slices"
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

// rightsOf are the single rights that a resource scope gives: to do a letter in a context to a type, with a query
// or without. Of a type * and of a scope without a query they are those for all of types and queries, which name
// what can tell two scopes apart.
func rightsOf(text string, types, queries []string) map[string]bool {
	head, query, granular := strings.Cut(text, "?")
	context, rest, _ := strings.Cut(head, "/")
	kind, permissions, _ := strings.Cut(rest, ".")
	permissions = strings.NewReplacer("read", "rs", "write", "cud", "*", "cruds").Replace(permissions)
	if kind != "*" {
		types = []string{kind}
	}
	if granular {
		queries = []string{"?" + query}
	}
	rights := map[string]bool{}
	for _, kind := range types {
		for _, query := range queries {
			for _, letter := range permissions {
				rights[context+"/"+kind+"."+string(letter)+query] = true
			}
		}
	}
	return rights
}

// included reports whether a has all of b.
func included(a, b map[string]bool) bool {
	for right := range b {
		if !a[right] {
			return false
		}
	}
	return true
}

// everyScope are all scopes of a few types and queries: every context, and every way to write permissions.
func everyScope(types, queries []string) (all []string) {
	permissions := []string{"read", "write", "*"}
	for set := 1; set < 1<<5; set++ {
		letters := ""
		for i, letter := range "cruds" {
			if set&(1<<i) != 0 {
				letters += string(letter)
			}
		}
		permissions = append(permissions, letters)
	}
	for _, context := range []string{"patient", "user", "system"} {
		for _, kind := range append([]string{"*"}, types...) {
			for _, may := range permissions {
				for _, query := range queries {
					all = append(all, context+"/"+kind+"."+may+query)
				}
			}
		}
	}
	return all
}

// TestCoversIsInclusion compares all pairs of 2,040 scopes: one covers another one exactly when it gives all of its
// rights. So what covers is reflexive and transitive, as inclusion is.
func TestCoversIsInclusion(t *testing.T) {
	types, queries := []string{"Observation", "Patient", "Condition"}, []string{"", "?", "?a=1", "?a=2", "?b=1&a=1"}
	var (
		all    = everyScope(types, queries)
		scopes = make([]Scope, len(all))
		rights = make([]map[string]bool, len(all))
	)
	for i, text := range all {
		scopes[i], rights[i] = Parse(text), rightsOf(text, append([]string{"another"}, types...), queries)
	}
	covering := 0
	for i, a := range scopes {
		for j, b := range scopes {
			want := included(rights[i], rights[j])
			if Covers(a, b) != want {
				t.Fatalf("%s covers %s: %v", a, b, !want)
			}
			if want && i != j {
				covering++
			}
		}
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n*(n-1) < 1_000_000 || covering < n*n/100 {
		t.Errorf("%d scopes that differ, and %d pairs that cover", n, covering)
	}
}

// What every reader takes for a resource scope that is well formed, and what surely is one.
var (
	wellFormedAtMost  = regexp.MustCompile(`^(patient|user|system)/(\*|[A-Za-z]+)\.(read|write|\*|[cruds]+)(\?[^,"\\\s]*)?$`)
	wellFormedAtLeast = regexp.MustCompile(`^(patient|user|system)/(\*|[A-Za-z]+)\.(read|write|\*|cr?u?d?s?|ru?d?s?|ud?s?|ds?|s)(\?[A-Za-z0-9=&-]*)?$`)
)

// FuzzCovers: whatever the texts are, what covers has all rights of what is covered; and where both are well formed,
// what has all rights covers.
func FuzzCovers(f *testing.F) {
	for _, seed := range [][2]string{
		{"patient/*.rs", "patient/Observation.r?a=1"},
		{"patient/Observation.r?a=1", "patient/Observation.r"},
		{"patient/Observation.r?a=1", "patient/Observation.r?a=2"},
		{"patient/Observation.r?a=1", "patient/Observation.r?"},
		{"patient/Observation.r?", "patient/Observation.r"},
		{"patient/Observation.r", "patient/Observation.rs"},
		{"patient/Observation.rs", "patient/Observation.s"},
		{"patient/Observation.read", "patient/Observation.write"},
		{"patient/Observation.cud", "patient/Observation.write"},
		{"patient/Observation.write", "patient/Observation.cud"},
		{"user/Patient.read", "user/Patient.rs"},
		{"user/*.cruds", "patient/Patient.r"},
		{"user/*.*", "user/*.cruds"},
		{"user/Patient.r", "user/*.r"},
		{"system/Patient.cruds", "system/Observation.cruds"},
		{"system/*.cruds", "system/A,user/*.r"},
		{"system/*.cruds", "system/Patient.r?a=b,user/*.r"},
		{"system/*.cruds", "system/Patient."},
		{"launch/patient", "launch/patient?role=x"},
		{"launch/patient?role=x", "launch/patient"},
		{"openid", "openid?x"},
		{"custom", "custom?x"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Parse(a), Parse(b)
		if !Covers(x, x) || !Covers(y, y) {
			t.Errorf("%q or %q does not cover itself", a, b)
		}
		if a == b {
			return
		}
		of := func(text string) map[string]bool {
			return rightsOf(text, []string{x.Type, y.Type, "another"}, []string{"", "?" + x.Query, "?" + y.Query, "?another query"})
		}
		want := included(of(a), of(b))
		switch got := Covers(x, y); {
		case got && x.Kind == Launch:
			if head, _, granular := strings.Cut(b, "?"); !granular || head != a {
				t.Errorf("%q covers %q", a, b)
			}
		case got && (!want || !wellFormedAtMost.MatchString(a) || !wellFormedAtMost.MatchString(b)):
			t.Errorf("%q covers %q", a, b)
		case !got && want && wellFormedAtLeast.MatchString(a) && wellFormedAtLeast.MatchString(b):
			t.Errorf("%q does not cover %q", a, b)
		}
	})
}
