package smart_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/smart"
)

const bodyLimit = 64 << 10

type hostile struct {
	name, list string
	run        func() smart.Results
}

// hostileLists returns lists of 64 KiB that cost the most: one endless scope, many scopes, all
// warnings.
func hostileLists() []hostile {
	distinct := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < bodyLimit-60; i++ {
			fmt.Fprintf(&b, format+" ", i)
		}
		return b.String()
	}
	lists := []hostile{
		{name: "backslashes", list: strings.Repeat(`\`, bodyLimit)},
		{name: "dashes", list: strings.Repeat("-", bodyLimit)},
		{name: "slashes", list: "patient" + strings.Repeat("/", bodyLimit-7)},
		{name: "parameters", list: "patient/Observation.rs?" + strings.Repeat("&", bodyLimit-30)},
		{name: "pluses", list: strings.Repeat("+", bodyLimit)},
		{name: "percents", list: strings.Repeat("%2", bodyLimit/2)},
		{name: "canonicals", list: "patient/Observation.rs?a=" + strings.Repeat("/CodeSystem", 5900)},
		{name: "warnings", list: distinct("patient/Obs.ssrr?a:in=1=2&_has:x=%%2f&_include=-%d")},
		{name: "refused", list: distinct("patient/a/b/c.rs?name=%%2f%d")},
		{name: "short", list: distinct("a%d")},
		{name: "same", list: strings.Repeat("a ", bodyLimit/2)},
	}
	for i := range lists {
		h := &lists[i]
		dialect := smart.Firely
		if i%2 == 0 {
			dialect = smart.AHDS
		}
		h.run = func() smart.Results {
			tr, err := smart.New(smart.Options{Dialect: dialect})
			scopes := smart.Split(h.list)
			if err != nil || len(scopes) > smart.MaxScopes {
				return nil
			}
			return tr.EncodeAll(scopes)
		}
	}
	return lists
}

// TestHostileLists allows much more time than the 5 ms of the benchmark, because the machine may
// be busy. A translation that is not linear takes seconds.
func TestHostileLists(t *testing.T) {
	for _, h := range hostileLists() {
		took := time.Hour
		for range 3 {
			start := time.Now()
			h.run()
			took = min(took, time.Since(start))
		}
		if took > time.Second {
			t.Errorf("%s took %v", h.name, took)
		}
	}
}
