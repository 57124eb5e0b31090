package fhir_test

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"fhirlink/shared/fhir"
)

const clinic = "https://ws-clinic.fhir.azurehealthcareapis.com"

func TestParseBaseURL(t *testing.T) {
	const (
		space    = "removed the space around the FHIR server URL"
		metadata = "removed /metadata from the FHIR server URL"
		slash    = "removed the trailing / from the FHIR server URL"
		query    = "removed the query from the FHIR server URL"
		lower    = "wrote the host of the FHIR server URL in lower case"
		port     = "removed :443 from the FHIR server URL"
		unseen   = "removed invisible characters from the FHIR server URL"
		around   = "removed quotes, brackets or punctuation around the FHIR server URL"
		behind   = "removed punctuation at the end from the FHIR server URL"
		resource = "removed the resource type and what follows it from the FHIR server URL"
		known    = "removed /.well-known and what follows it from the FHIR server URL"
		dot      = "removed the dot at the end of the host of the FHIR server URL"
		words    = "removed the words in front of the FHIR server URL"
		r4       = "https://fhir.example.org/r4"
	)
	tests := []struct {
		raw, want string
		notes     []string
	}{
		{clinic, clinic, nil},
		{"  " + clinic + "\r\n", clinic, []string{space}},
		{"\u00a0" + clinic, clinic, []string{space}},
		{clinic + "/", clinic, []string{slash}},
		{clinic + "///", clinic, []string{slash}},
		{clinic + "/metadata", clinic, []string{metadata}},
		{clinic + "/metadata/", clinic, []string{metadata}},
		{clinic + "//metadata", clinic, []string{metadata}},
		{clinic + "/MetaData", clinic, []string{metadata}},
		{clinic + "/metadata/metadata", clinic, []string{metadata}},
		{clinic + "/metadata?_format=json", clinic, []string{query, metadata}},
		{clinic + "/metadata/?_format=json&_pretty=true", clinic, []string{query, metadata}},
		{clinic + "?", clinic, []string{query}},
		{"HTTPS://WS-Clinic.FHIR.azurehealthcareapis.com", clinic, []string{lower}},
		{clinic + ":443", clinic, []string{port}},
		{clinic + ":", clinic, nil},
		{"https://ws.fhir.azurehealthcareapis.us/metadata", "https://ws.fhir.azurehealthcareapis.us", []string{metadata}},
		{"https://contoso.azurehealthcareapis.com", "https://contoso.azurehealthcareapis.com", nil},
		{"https://fhir.example.org/r4/", "https://fhir.example.org/r4", []string{slash}},
		{"https://fhir.example.org/Base_R4/metadata", "https://fhir.example.org/Base_R4", []string{metadata}},
		{"https://xn--klinik-gesund-0ob.example/fhir", "https://xn--klinik-gesund-0ob.example/fhir", nil},

		{"https://eyes.example.org/API//R4", "https://eyes.example.org/API//R4", nil},
		{"https://eyes.example.org/API//R4//metadata", "https://eyes.example.org/API//R4", []string{metadata}},
		{"https://fhir.example.org//r4", "https://fhir.example.org//r4", nil},

		{r4 + "/Patient", r4, []string{resource}},
		{r4 + "/Patient/", r4, []string{resource}},
		{r4 + "/Patient?name=x", r4, []string{query, resource}},
		{r4 + "/Patient/123?", r4, []string{query, resource}},
		{r4 + "/Patient/abc/_history/2", r4, []string{resource}},
		{r4 + "/Patient/$everything", r4, []string{resource}},
		{r4 + "/Observation/_search", r4, []string{resource}},
		{r4 + "/Observation/4711", r4, []string{resource}},
		{r4 + "/Endpoint", r4, []string{resource}},
		{r4 + "/ProcedureRequest", r4, []string{resource}},
		{r4 + "/Patient/12/Observation", r4, []string{resource}},
		{r4 + "/Patient/metadata", r4, []string{metadata, resource}},
		{clinic + "/Patient/1", clinic, []string{resource}},
		{clinic + "/Observation/x", clinic, []string{resource}},
		{"https://fhir.example.org/Organization/r4", "https://fhir.example.org/Organization/r4", nil},
		{"https://fhir.example.org/patient", "https://fhir.example.org/patient", nil},

		{r4 + "/.well-known/smart-configuration", r4, []string{known}},
		{r4 + "/.well-known/smart-configuration.json?x=1", r4, []string{query, known}},
		{r4 + "/.well-known", r4, []string{known}},
		{clinic + "/.well-known/openid-configuration", clinic, []string{known}},

		{clinic + ".", clinic, []string{around}},
		{clinic + ",", clinic, []string{around}},
		{clinic + ";", clinic, []string{around}},
		{"\"" + clinic + "\"", clinic, []string{around}},
		{"\"" + clinic + "\",", clinic, []string{around}},
		{"“" + clinic + "”.", clinic, []string{around}},
		{"'" + clinic + "/'", clinic, []string{around, slash}},
		{"<" + clinic + ">", clinic, []string{around}},
		{"(" + clinic + ").", clinic, []string{around}},
		{clinic + "\u200b", clinic, []string{unseen}},
		{"\ufeff" + clinic, clinic, []string{unseen}},
		{"https://ws-clinic.fhir.\u200bazurehealth\u00adcareapis.com", clinic, []string{unseen}},
		{"\u200e" + clinic + "/metadata\u202c ", clinic, []string{space, unseen, metadata}},
		{"https://fhir.example.org./r4", r4, []string{dot}},
		{"https://fhir.example.org.:443/r4", r4, []string{dot, port}},
		{r4 + "./metadata", r4, []string{metadata, behind}},
		{r4 + "%22", r4, []string{behind}},
		{"FHIR metadata endpoint: " + clinic + "/metadata", clinic, []string{words, metadata}},
		{"[FHIR](" + r4 + ")", r4, []string{words}},
		{r4 + "/$export", r4, []string{"removed the operation at the end from the FHIR server URL"}},
		{r4 + "/0/!!/", r4 + "/0", []string{behind}},
		{"GET " + r4, r4, []string{words}},
		{"url=" + r4, r4, []string{words}},

		// Files of settings, command lines, Postman, Outlook, Teams, documents.
		{`"fhirServerUrl": "` + r4 + `",`, r4, []string{words, around}},
		{"FHIR_SERVER_URL=\"" + r4 + "/\"", r4, []string{words, around, slash}},
		{"export FHIR_BASE_URL=" + r4, r4, []string{words}},
		{"FhirServer:Url=" + r4, r4, []string{words}},
		{"FhirServer__Url: " + r4, r4, []string{words}},
		{"FHIR R4: " + r4, r4, []string{words}},
		{"FHIR-Metadatenendpunkt: " + clinic + "/metadata", clinic, []string{words, metadata}},
		{"Point de terminaison des métadonnées FHIR\u00a0: " + clinic + "/metadata", clinic, []string{words, metadata}},
		{"Punto de conexión de metadatos de FHIR: " + clinic + "/metadata", clinic, []string{words, metadata}},
		{"FHIR metadata endpoint\n" + clinic + "/metadata", clinic, []string{words, metadata}},
		{"FHIR metadata endpoint\t" + clinic + "/metadata", clinic, []string{words, metadata}},
		{"curl " + r4 + "/metadata", r4, []string{words, metadata}},
		{"curl -s -H 'Accept: application/fhir+json' " + r4 + "/metadata", r4, []string{words, metadata}},
		{"curl --location '" + r4 + "/Patient?_count=1' \\", r4, []string{words, query, resource}},
		{"GET " + r4 + "/metadata HTTP/1.1", r4, []string{words, metadata}},
		{"FHIR <" + r4 + ">", r4, []string{words, around}},
		{r4 + "<" + r4 + ">", r4, []string{words, around}},
		{"https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Ffhir.example.org%2Fr4%2Fmetadata&data=05%7C02%7C&sdata=x%3D&reserved=0", r4, []string{"took the FHIR server URL out of the link of a mail filter", metadata}},
		{"https://statics.teams.cdn.office.net/evergreen-assets/safelinks/1/atp-safelinks.html?url=https%3A%2F%2Ffhir.example.org%2Fr4&locale=en-us", r4, []string{"took the FHIR server URL out of the link of a mail filter"}},
		{"https://urldefense.com/v3/__https://fhir.example.org/r4/metadata__;!!AbC!dEf$", r4, []string{"took the FHIR server URL out of the link of a mail filter", metadata}},
		{"(see " + r4 + ")", r4, []string{words, around}},
		{r4 + ")", r4, []string{around}},
		{r4 + "]", r4, []string{around}},
		{r4 + "/*", r4, []string{behind}},
		{r4 + ":", r4, []string{behind}},
		{"| " + r4 + " |", r4, []string{around}},
		{"- " + r4, r4, []string{around}},
		{"* " + r4, r4, []string{around}},
		{"1. " + r4, r4, []string{words}},
		{"https://" + r4, r4, []string{words}},
		{"http://" + r4, r4, []string{words}},
		{r4 + "/metadata&_format=json", r4, []string{metadata}},
		{r4 + "/metadata;x=1", r4, []string{metadata}},
		{r4 + "/\u2026", r4, []string{around, slash}},
		{r4 + "/Patient/$match", r4, []string{resource}},
		{r4 + "/Group/4f2c/$export?_type=Patient", r4, []string{query, resource}},
		{r4 + "/ValueSet/$expand?url=x", r4, []string{query, resource}},
		{r4 + "/Patient/_search?name=x", r4, []string{query, resource}},
		{r4 + "/Patient/87a339d0-8cae-418e-89c7-8651e6aab3c6", r4, []string{resource}},
		{r4 + "/_history", r4, []string{"removed the operation at the end from the FHIR server URL"}},
		{r4 + "/CapabilityStatement", r4, []string{resource}},
		{"https://FHIR.EXAMPLE.ORG/R4/metadata/", "https://fhir.example.org/R4", []string{lower, metadata}},
		{"https://fhir.example.org:443/r4/.well-known/smart-configuration/", r4, []string{port, known}},

		// Base URLs of real products.
		{"https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/", "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4", []string{slash}},
		{"https://fhir.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d/metadata", "https://fhir.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d", []string{metadata}},
		{"https://healthcare.googleapis.com/v1/projects/p-1/locations/us-central1/datasets/d_1/fhirStores/f.1/fhir", "https://healthcare.googleapis.com/v1/projects/p-1/locations/us-central1/datasets/d_1/fhirStores/f.1/fhir", nil},
		{"https://healthlake.us-east-1.amazonaws.com/datastore/0123456789abcdef0123456789abcdef/r4/", "https://healthlake.us-east-1.amazonaws.com/datastore/0123456789abcdef0123456789abcdef/r4", []string{slash}},
		{"https://iris.example.org/csp/healthshare/demo/fhir/r4", "https://iris.example.org/csp/healthshare/demo/fhir/r4", nil},
		{"https://fhir.example.org/fhir-server/api/v4", "https://fhir.example.org/fhir-server/api/v4", nil},
		{"https://api.medplum.com/fhir/R4", "https://api.medplum.com/fhir/R4", nil},
		{"https://fhir.example.org/fhir/DEFAULT", "https://fhir.example.org/fhir/DEFAULT", nil},
		{"https://fhir.example.org/~clinic/fhir@prod/a+b;v=1/r4!x", "https://fhir.example.org/~clinic/fhir@prod/a+b;v=1/r4!x", nil},
		{"https://fhir.example.org/fhir(r4)", "https://fhir.example.org/fhir(r4)", nil},
		{"https://fhir.example.org/$fhir/r4", "https://fhir.example.org/$fhir/r4", nil},
		{"https://fhir.example.org/api/FHIR/Patients", "https://fhir.example.org/api/FHIR/Patients", nil},
		{"https://fhir.example.org/fhir/4_0_1", "https://fhir.example.org/fhir/4_0_1", nil},
		{"https://fhir.example.org/metadata-service/r4", "https://fhir.example.org/metadata-service/r4", nil},
		{"https://contoso.azure-api.net/fhir", "https://contoso.azure-api.net/fhir", nil},
		{"https://fhir.example.org/Location/main/r4", "https://fhir.example.org/Location/main/r4", nil},
	}
	for _, tt := range tests {
		base, notes, mistake := fhir.ParseBaseURL(tt.raw, false)
		if mistake != nil {
			t.Errorf("%q: %+v", tt.raw, *mistake)
			continue
		}
		if base.String() != tt.want || !reflect.DeepEqual(notes, tt.notes) {
			t.Errorf("%q gives %q %q, want %q %q", tt.raw, base, notes, tt.want, tt.notes)
		}
	}
}

func TestParseBaseURLMistakes(t *testing.T) {
	const r4 = "https://fhir.example.org/r4"
	long := strings.Repeat("a", 63)
	tests := map[string][]string{
		"url_not_https": {
			"ws-clinic.fhir.azurehealthcareapis.com", "http://ws-clinic.fhir.azurehealthcareapis.com", "ftp://x.example", "https:/x.example", "https:x.example",
			"javascript://x.example/", "//x.example",
		},
		"url_has_path": {
			clinic + "/fhir", clinic + "/metadata/x", clinic + "/%6detadata", "https://contoso.azurehealthcareapis.com/a", "https://ws.fhir.azurehealthcareapis.us/a",
		},
		"url_dicom":  {"https://ws-img.dicom.azurehealthcareapis.com", "https://ws-img.dicom.azurehealthcareapis.us/v1"},
		"url_portal": {"https://portal.azure.com/#@contoso.com/resource/subscriptions/1", "https://ms.portal.azure.com/", "https://portal.azure.us/", "https://entra.microsoft.com/#home"},
		"url_syntax": {
			r4 + "," + r4, r4 + " " + r4, r4 + "; https://x.example", r4 + "\n" + r4,
			"", "  ", "https://", "https:///metadata", "https://?x=1", "https://clinic", "https://localhost",
			"https://user@fhir.example.org", "https://user:pass@fhir.example.org", "https://@fhir.example.org",
			"https://fhir.example.org#", "https://fhir.example.org/#x", "https://fhir.example.org/?q#x",
			"https://fhir.example.org:80", "https://fhir.example.org:8443/r4", "https://fhir.example.org:0", "https://fhir.example.org:0443", "https://fhir.example.org:99999", "https://fhir.example.org:x",
			"https://fhir.example.org..:443", "https://.example.org", "https://fhir..org", "https://-a.example", "https://a-.example", "https://a_b.example",
			"https://" + long + "a.example", "https://" + strings.Repeat(long+".", 4) + "example", "https://fhir.example.org/" + strings.Repeat("a", 2048),
			"https://fhir.example.org/a b", "https://fhir.exam ple.org", "https://fhir.example.org/\x00", "https://fhir.example.org/a\r\nHost: x", "https://fhir.example.org\\@evil.example",
			"https://fhir.example.org/../x", "https://fhir.example.org/a/..", "https://fhir.example.org/.", "https://fhir.example.org/a/./b", "https://fhir.example.org/a%2f..", "https://fhir.example.org/{a}",
			"https://klinik-süd.example", "https://fhir。example。org", "https://fhir.example.org/ü", "https://fhir%2eexample.org",
			// Addresses in every notation.
			"https://127.0.0.1", "https://127.0.0.1.", "https://10.0.0.1", "https://8.8.8.8", "https://169.254.169.254/latest", "https://168.63.129.16",
			"https://2130706433", "https://0x7f000001", "https://0X7F.1", "https://0x7f.0.0.1", "https://017700000001", "https://0177.0.0.1", "https://127.1", "https://127.0.1", "https://a.1",
			"https://[::1]", "https://[::1]:443", "https://[::]", "https://[fe80::1%25eth0]", "https://[::ffff:127.0.0.1]", "https://[::ffff:7f00:1]", "https://[64:ff9b::7f00:1]", "https://[fd00:ec2::254]", "https://[2606:4700::1111]", "https://１２７.０.０.１",
			"https://example.0x", "https://0.0.0.0",
		},
	}
	for code, raws := range tests {
		for _, raw := range raws {
			base, notes, mistake := fhir.ParseBaseURL(raw, false)
			switch {
			case mistake == nil:
				t.Errorf("%q is accepted as %q", raw, base)
			case mistake.Code != code:
				t.Errorf("%q has code %s, want %s", raw, mistake.Code, code)
			case mistake.Field != "fhirServerUrl" || mistake.Message == "" || mistake.Fix == "" || base.String() != "" || notes != nil:
				t.Errorf("%q: %q %q %+v", raw, base, notes, *mistake)
			}
		}
	}
}

func TestParseBaseURLAnyTarget(t *testing.T) {
	for raw, want := range map[string]string{
		"https://10.1.2.3":                        "https://10.1.2.3",
		"https://10.1.2.3:8443/fhir/metadata":     "https://10.1.2.3:8443/fhir",
		"https://10.1.2.3:08443":                  "https://10.1.2.3:8443",
		"https://[FD12::0:1]:9443":                "https://[fd12::1]:9443",
		"https://[::ffff:10.1.2.3]":               "https://10.1.2.3",
		"https://localhost:8443":                  "https://localhost:8443",
		"https://fhir.hospital.internal:443/base": "https://fhir.hospital.internal/base",
	} {
		base, _, mistake := fhir.ParseBaseURL(raw, true)
		if mistake != nil || base.String() != want {
			t.Errorf("%q gives %q %+v, want %q", raw, base, mistake, want)
		}
	}
	for _, raw := range []string{
		"https://2130706433", "https://0x7f.1", "https://127.1", "https://[fe80::1%25eth0]", "https://10.1.2.3:0", "https://10.1.2.3:65536",
		"https://user@10.1.2.3", "http://10.1.2.3",
	} {
		if base, _, mistake := fhir.ParseBaseURL(raw, true); mistake == nil {
			t.Errorf("%q is accepted as %q", raw, base)
		}
	}
}

func TestBaseURLKind(t *testing.T) {
	for raw, want := range map[string]fhir.Kind{
		clinic: {Product: fhir.HealthDataServices, Cloud: fhir.PublicCloud},
		"https://ws-x.fhir.azurehealthcareapis.us":       {Product: fhir.HealthDataServices, Cloud: fhir.USGovernment},
		"https://contoso.azurehealthcareapis.com":        {Product: fhir.AzureAPIForFHIR, Cloud: fhir.PublicCloud},
		"https://contoso.azurehealthcareapis.us":         {Product: fhir.AzureAPIForFHIR, Cloud: fhir.USGovernment},
		"https://fhir.example.org/r4":                    {Product: fhir.Generic},
		"https://fhir.azurehealthcareapis.com.evil.test": {Product: fhir.Generic},
		"https://notazurehealthcareapis.com":             {Product: fhir.Generic},
	} {
		base, _, mistake := fhir.ParseBaseURL(raw, false)
		if mistake != nil || base.Kind() != want {
			t.Errorf("%s is %+v, want %+v (%+v)", raw, base.Kind(), want, mistake)
		}
	}
}

func TestBaseURLHost(t *testing.T) {
	for raw, want := range map[string]string{clinic + "/": "ws-clinic.fhir.azurehealthcareapis.com", "https://[fd12::1]:9443/a": "fd12::1", "https://10.1.2.3:8443": "10.1.2.3"} {
		base, _, mistake := fhir.ParseBaseURL(raw, true)
		if mistake != nil || base.Host() != want {
			t.Errorf("%s has host %q, want %q (%+v)", raw, base.Host(), want, mistake)
		}
	}
}

func FuzzParseBaseURL(f *testing.F) {
	for _, seed := range []string{clinic + "/metadata?x=1", "https://2130706433", "https://[::ffff:127.0.0.1]:443/", "https://a@b.c/#", " HTTPS://A.B:443//metadata/ ", "https://x.y/a/../b", "https://0x7f.1", "<https://x.y./a//Patient/12.,/.well-known/x>;", "url: https://x.y/a%22/metadata./Endpoint"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, anyTarget bool) {
		base, _, mistake := fhir.ParseBaseURL(raw, anyTarget)
		if mistake != nil {
			if base.String() != "" || mistake.Code == "" || mistake.Fix == "" {
				t.Fatalf("%q: %q %+v", raw, base, *mistake)
			}
			return
		}
		again, notes, mistake := fhir.ParseBaseURL(base.String(), anyTarget)
		if mistake != nil || notes != nil || again != base {
			t.Fatalf("%q gives %q, which is not canonical: %q %q %+v", raw, base, again, notes, mistake)
		}
		u, err := url.Parse(base.String())
		if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Hostname() != base.Host() {
			t.Fatalf("%q gives %q: %v", raw, base, err)
		}
		if _, err := netip.ParseAddr(base.Host()); err == nil && !anyTarget {
			t.Fatalf("%q gives the address %q", raw, base)
		}
	})
}

// TestFieldCases runs inputs that were typed or published in the field.
func TestFieldCases(t *testing.T) {
	data, err := os.ReadFile("testdata/base-url-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ ID, Input, Right string }
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		base, notes, mistake := fhir.ParseBaseURL(c.Input, false)
		if mistake != nil || base.String() != c.Right || len(notes) != 1 {
			t.Errorf("%s gives %q %q %+v, want %q and a note", c.ID, base, notes, mistake, c.Right)
		}
	}
}

// TestTypicalMistakes: what cannot be meant as a base URL is called what it is.
func TestTypicalMistakes(t *testing.T) {
	const id = "/subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups/rg/providers/Microsoft.HealthcareApis/workspaces/WS/fhirservices/Clinic"
	for raw, want := range map[string][3]string{
		id: {"url_resource_id", "resource id", "https://ws-clinic.fhir.azurehealthcareapis.com"},
		"https://management.azure.com" + id + "?api-version=2024-03-31":        {"url_resource_id", "resource id", "https://ws-clinic.fhir.azurehealthcareapis.com"},
		"subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups/rg": {"url_resource_id", "resource id", "FHIR metadata endpoint"},
		"http://ws-clinic.fhir.azurehealthcareapis.com":                        {"url_not_https", "http://, which is not encrypted", "https:// instead of http://"},
		"ws-clinic.fhir.azurehealthcareapis.com":                               {"url_not_https", "does not begin with https://", "Put https:// in front"},
		"https://portal.azure.com/#@contoso.com/resource" + id:                 {"url_portal", "Azure portal", "FHIR metadata endpoint"},
	} {
		_, _, mistake := fhir.ParseBaseURL(raw, false)
		if mistake == nil || mistake.Code != want[0] || !strings.Contains(mistake.Message, want[1]) || !strings.Contains(mistake.Fix, want[2]) {
			t.Errorf("%q: %+v, want %q", raw, mistake, want)
		}
	}
}
