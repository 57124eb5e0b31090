package smart_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/smart"
)

// typical is a granular scope of US Core, in SMART's and in Firely's spelling.
const (
	typical        = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
	typicalEncoded = `patient-Observation.rs?category=http:--terminology.hl7.org-CodeSystem-observation\-category|laboratory`
)

// replacer is the yardstick for the codec: the standard library applies the same rule to the same
// string in one pass.
var replacer = strings.NewReplacer(`\`, `\\`, "-", `\-`, "/", "-")

func BenchmarkFirelyEncode(b *testing.B) {
	tr := translator(b, smart.Options{})
	compare(b, typical, func() { _, _ = tr.Encode(typical) })
}

func BenchmarkFirelyDecode(b *testing.B) {
	tr := translator(b, smart.Options{})
	compare(b, typicalEncoded, func() { _, _ = tr.Decode(typicalEncoded) })
}

func BenchmarkSeparatorEncode(b *testing.B) {
	compare(b, typical, func() { smart.Dash.Encode(typical) })
}

func BenchmarkSeparatorDecode(b *testing.B) {
	compare(b, typicalEncoded, func() { _, _ = smart.Dash.Decode(typicalEncoded) })
}

// compare reports how many Replacer passes over s take as long as one call of f. The two
// alternate, so that a busy machine slows down both.
func compare(b *testing.B, s string, f func()) {
	const batch = 100
	var ours, theirs time.Duration
	for b.Loop() {
		ours += timed(batch, f)
		theirs += timed(batch, func() { replacer.Replace(s) })
	}
	scopes := float64(b.N) * batch
	b.ReportMetric(testing.AllocsPerRun(batch, f), "allocs/scope")
	b.ReportMetric(float64(ours)/scopes, "ns/scope")
	b.ReportMetric(float64(theirs)/scopes, "replacer-ns/scope")
	b.ReportMetric(float64(ours)/float64(theirs), "x-replacer")
}

func timed(n int, f func()) time.Duration {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start)
}

// TestAllocations checks that the codec allocates once per scope.
func TestAllocations(t *testing.T) {
	tr := translator(t, smart.Options{})
	for name, f := range map[string]func(){
		"encode": func() { _, _ = tr.Encode(typical) },
		"decode": func() { _, _ = tr.Decode(typicalEncoded) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 1 {
			t.Errorf("%s takes %v allocations", name, n)
		}
	}
}

func BenchmarkLength(b *testing.B) {
	tr := translator(b, smart.Options{})
	for _, n := range []int{1, 10, 100, 1000} {
		scope := typical + strings.Repeat("-/x", n*100)
		b.Run(fmt.Sprint(len(scope)), func(b *testing.B) {
			b.SetBytes(int64(len(scope)))
			for b.Loop() {
				_, _ = tr.Encode(scope)
			}
		})
	}
}

func BenchmarkHostileList(b *testing.B) {
	for _, h := range hostileLists() {
		b.Run(h.name, func(b *testing.B) {
			b.SetBytes(int64(len(h.list)))
			for b.Loop() {
				h.run()
			}
		})
	}
}
