package smart_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"fhirlink/shared/smart"
)

// load reads one of the vector files. Their scopes are from Firely's documentation, the SMART App
// Launch guide, US Core, Inferno, and the servers' documentation and tests.
func load[T any](t *testing.T, name string) []T {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no vectors")
	}
	return all
}

func translator(t testing.TB, o smart.Options) *smart.Translator {
	t.Helper()
	tr, err := smart.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func code(err error) string {
	if r, ok := errors.AsType[*smart.Refusal](err); ok {
		return r.Code
	}
	return ""
}

// scopeVector has one spelling per dialect. A dialect without a spelling must refuse the scope.
type scopeVector struct {
	Scope           string
	Kind            smart.Kind
	Firely          string
	Tilde           string
	AHDS            string
	FHIRServerProxy string
	AADProxy        string
	Length          int
	Reasons         []string
	TildeReasons    []string
}

func TestScopeVectors(t *testing.T) {
	dialects := []struct {
		options smart.Options
		want    func(scopeVector) string
	}{
		{smart.Options{}, func(v scopeVector) string { return v.Firely }},
		{smart.Options{Separator: smart.Tilde}, func(v scopeVector) string { return v.Tilde }},
		{smart.Options{Dialect: smart.AHDS}, func(v scopeVector) string { return v.AHDS }},
		{smart.Options{Dialect: smart.FHIRServerProxy}, func(v scopeVector) string { return v.FHIRServerProxy }},
		{smart.Options{Dialect: smart.AADProxy}, func(v scopeVector) string { return v.AADProxy }},
	}
	for _, v := range load[scopeVector](t, "scopes.json") {
		for _, d := range dialects {
			tr, want := translator(t, d.options), d.want(v)
			got, err := tr.Encode(v.Scope)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%s %s: encode %q = %q, %v; want %q", tr.Dialect(), tr.Separator(), v.Scope, got, err, want)
			}
			if err != nil {
				continue
			}
			if back, err := tr.Decode(got); back != v.Scope || err != nil {
				t.Errorf("%s %s: decode %q = %q, %v; want %q", tr.Dialect(), tr.Separator(), got, back, err, v.Scope)
			}
		}
	}
}

func TestVectorsAgainstEntra(t *testing.T) {
	dash, tilde := translator(t, smart.Options{}), translator(t, smart.Options{Separator: smart.Tilde})
	for _, v := range load[scopeVector](t, "scopes.json") {
		if v.Firely == "" {
			continue
		}
		r := dash.EncodeAll([]string{v.Scope})[0]
		if r.Kind != v.Kind || r.Entra.Length != v.Length || !slices.Equal(r.Entra.Reasons, v.Reasons) || r.Entra.Registrable != (len(v.Reasons) == 0) {
			t.Errorf("%q: kind %s, %+v; want %s, length %d, reasons %v", v.Scope, r.Kind, r.Entra, v.Kind, v.Length, v.Reasons)
		}
		if r := tilde.EncodeAll([]string{v.Scope})[0]; !slices.Equal(r.Entra.Reasons, v.TildeReasons) {
			t.Errorf("%q with ~: %v; want %v", v.Scope, r.Entra.Reasons, v.TildeReasons)
		}
	}
}

func TestValueVectors(t *testing.T) {
	type vector struct{ Value, Resource, Scope, Error string }
	for _, v := range load[vector](t, "values.json") {
		tr := translator(t, smart.Options{Resource: v.Resource})
		got, err := tr.Decode(v.Value)
		if got != v.Scope || code(err) != v.Error {
			t.Errorf("decode %q with resource %q = %q, %v; want %q, %q", v.Value, v.Resource, got, err, v.Scope, v.Error)
		}
	}
}

func TestListVectors(t *testing.T) {
	type vector struct {
		List   string
		Values []string
		Error  string
	}
	for _, v := range load[vector](t, "lists.json") {
		results := translator(t, smart.Options{}).EncodeAll(smart.Split(v.List))
		var values []string
		var refusal string
		for _, r := range results {
			if r.Error != nil {
				refusal = r.Error.Code
				continue
			}
			values = append(values, r.Output)
		}
		if refusal != v.Error || refusal == "" && !slices.Equal(values, v.Values) {
			t.Errorf("%q: %q, %q; want %q, %q", v.List, values, refusal, v.Values, v.Error)
		}
	}
}
