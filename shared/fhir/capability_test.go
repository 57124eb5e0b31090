package fhir_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"fhirlink/shared/fhir"
)

func TestReadCapability(t *testing.T) {
	const login = "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111/oauth2"
	tests := map[string]fhir.Capability{
		"health_data_services.json": {FHIRVersion: "4.0.1", OAuth: fhir.OAuthURIs{Token: login + "/token", Authorize: login + "/authorize"}},
		"smart_proxy.json":          {FHIRVersion: "4.0.1", OAuth: fhir.OAuthURIs{Token: "https://ws-fhir.fhir.azurehealthcareapis.com/AadSmartOnFhirProxy/token", Authorize: "https://ws-fhir.fhir.azurehealthcareapis.com/AadSmartOnFhirProxy/authorize"}},
		"plain.json":                {FHIRVersion: "5.0.0"},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := fhir.ReadCapability(iotest.OneByteReader(f))
			if err != nil || got != want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

func TestReadCapabilityOrder(t *testing.T) {
	got, err := fhir.ReadCapability(strings.NewReader("\ufeff" + `{"rest":[{"security":{"extension":[
		{"url":"http://example.org/other","extension":[{"url":"token","valueUri":"https://wrong.example"}]},
		{"extension":[{"valueUri":"https://a.example/t","url":"token"},{"url":"authorize","valueUri":17}],"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"},
		{"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[{"url":"token","valueUri":"https://second.example"}]}
		]}}],"fhirVersion":"4.0.1","x":1e99999,"resourceType":"CapabilityStatement"}`))
	if want := (fhir.Capability{FHIRVersion: "4.0.1", OAuth: fhir.OAuthURIs{Token: "https://a.example/t"}}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Servers publish the extension in more ways than the standard has.
func TestReadCapabilityOAuth(t *testing.T) {
	const uri = "https://a.example/t"
	for _, security := range []string{
		`{"extension":[{"url":"https://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[{"url":"token","valueUri":"` + uri + `"}]}]}`,
		`{"extension":[{"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris/","extension":[{"url":"token","valueString":"` + uri + `"}]}]}`,
		`{"service":[{"text":"OAuth"},{"extension":[{"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[{"url":"token","valueUrl":"` + uri + `"}]}]}]}`,
	} {
		got, err := fhir.ReadCapability(strings.NewReader(`{"resourceType":"CapabilityStatement","rest":[{"security":` + security + `}]}`))
		if err != nil || got.OAuth.Token != uri {
			t.Errorf("%s gives %+v, %v", security, got, err)
		}
	}
}

// The version of DSTU2 is known, although its statement has another name.
func TestReadConformance(t *testing.T) {
	var other *fhir.OtherResourceError
	_, err := fhir.ReadCapability(strings.NewReader(`{"resourceType":"Conformance","fhirVersion":"1.0.2"}`))
	if !errors.As(err, &other) || other.Type != "Conformance" || other.FHIRVersion != "1.0.2" {
		t.Errorf("%+v, %v", other, err)
	}
}

func TestReadCapabilityRefuses(t *testing.T) {
	tests := map[string]struct {
		body io.Reader
		want error
	}{
		"empty":             {strings.NewReader(""), fhir.ErrNotCapability},
		"web page":          {strings.NewReader("<!DOCTYPE html>"), fhir.ErrNotCapability},
		"array":             {strings.NewReader(`[{"resourceType":"CapabilityStatement"}]`), fhir.ErrNotCapability},
		"string":            {strings.NewReader(`"CapabilityStatement"`), fhir.ErrNotCapability},
		"other type":        {strings.NewReader(`{"resourceType":"Patient"}`), fhir.ErrNotCapability},
		"DSTU2":             {strings.NewReader(`{"resourceType":"Conformance","fhirVersion":"1.0.2"}`), fhir.ErrNotCapability},
		"no type":           {strings.NewReader(`{"fhirVersion":"4.0.1"}`), fhir.ErrNotCapability},
		"type of no string": {strings.NewReader(`{"resourceType":["CapabilityStatement"]}`), fhir.ErrNotCapability},
		"cut off":           {strings.NewReader(`{"resourceType":"CapabilityStatement","rest":[`), fhir.ErrNotCapability},
		"broken syntax":     {strings.NewReader(`{"resourceType":"CapabilityStatement",,}`), fhir.ErrNotCapability},
		"a million [":       {strings.NewReader(`{"resourceType":"CapabilityStatement","x":` + strings.Repeat("[", 1e6)), fhir.ErrNotCapability},
		"a million {":       {strings.NewReader(`{"resourceType":"CapabilityStatement","rest":` + strings.Repeat(`{"security":`, 1e5)), fhir.ErrNotCapability},
		"endless":           {io.MultiReader(strings.NewReader(`{"resourceType":"CapabilityStatement","x":[`), endless("1,")), fhir.ErrTooLarge},
		"endless string":    {io.MultiReader(strings.NewReader(`{"resourceType":"`), endless("x")), fhir.ErrTooLarge},
		"endless blanks":    {endless(" "), fhir.ErrTooLarge},
		"broken connection": {io.MultiReader(strings.NewReader(`{"resourceType":`), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		"timeout":           {iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(`{"resourceType":`))), iotest.ErrTimeout},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if c, err := fhir.ReadCapability(tt.body); !errors.Is(err, tt.want) || c != (fhir.Capability{}) {
				t.Errorf("got %+v, %v; want %v", c, err, tt.want)
			}
		})
	}
}

// A body of the maximum size must not be held in memory.
func TestReadCapabilityStreams(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	_, err := fhir.ReadCapability(io.MultiReader(strings.NewReader(`{"resourceType":"CapabilityStatement","x":[`), sampled{endless(`{"a":"b"},`), func() {
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapInuse-min(after.HeapInuse, before.HeapInuse))
	}}))
	if !errors.Is(err, fhir.ErrTooLarge) {
		t.Fatal(err)
	}
	if peak > 8<<20 {
		t.Errorf("the heap grew by %d bytes", peak)
	}
}

type sampled struct {
	io.Reader
	sample func()
}

func (s sampled) Read(p []byte) (int, error) {
	s.sample()
	return s.Reader.Read(p)
}

// endless repeats a text forever.
func endless(text string) io.Reader { return &repeated{text: text} }

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(p), nil
}

func FuzzReadCapability(f *testing.F) {
	for _, name := range []string{"health_data_services.json", "smart_proxy.json", "plain.json"} {
		body, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"resourceType":"CapabilityStatement","rest":[[{}]],"fhirVersion":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := fhir.ReadCapability(strings.NewReader(string(body)))
		if err != nil {
			if c != (fhir.Capability{}) {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
	})
}

// ReadCapability reads what encoding/json reads, with the same result.
func FuzzReadCapabilityAgrees(f *testing.F) {
	f.Add("4.0.1", `[{"security":{"extension":[1,{"a":[{}]}]}}]`)
	f.Add("4\\u0030\"\\", `"]}"`)
	f.Add("", `{"a\"":[true,null,-1e5,"\\\\"]}`)
	f.Fuzz(func(t *testing.T, version, value string) {
		if !json.Valid([]byte(value)) || strings.Count(value, "[")+strings.Count(value, "{") > 60 || len(version) > 300 {
			return
		}
		quoted, err := json.Marshal(version)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(quoted, &want); err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{
			`{"x":` + value + `,"resourceType":"CapabilityStatement","fhirVersion":` + string(quoted) + `}`,
			` { "resourceType" : "CapabilityStatement" , "rest" : ` + value + ` , "fhirVersion" : ` + string(quoted) + ` } `,
			`{"fhirVersion":` + string(quoted) + `,"resourceType":"CapabilityStatement","rest":[` + value + `,{"security":` + value + `,"b":` + value + `}]}`,
		} {
			got, err := fhir.ReadCapability(strings.NewReader(body))
			if err != nil || got.FHIRVersion != want {
				t.Fatalf("%s gives %+v, %v", body, got, err)
			}
		}
	})
}
