package guidance_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/smartauth/guidance"
)

var update = flag.Bool("update", false, "write the snippets into testdata, and the table into README.md of package smart")

const (
	issuer = "https://links.example.org/api/smart/good-health-clinic"
	tenant = "11111111-1111-4111-8111-111111111111"
	api    = "44444444-4444-4444-8444-444444444444"
)

// linked is a link with every default filled in.
func linked(tokens guidance.Tokens, server guidance.Server) guidance.Link {
	l := guidance.Link{
		Tokens: tokens, Server: server, Issuer: issuer, EntraAudience: "api://" + api, Authority: guidance.PublicCloud, TenantID: tenant,
		TokenAudience: "https://clinic.example/fhir", ServerClientID: "22222222-2222-4222-8222-222222222222", Compartment: "claim",
	}
	if server == guidance.FHIRServer || server == guidance.AHDS {
		l.Compartment = "fhirUser"
	}
	if server == guidance.FHIRServer {
		l.AccessTokenRoles = []string{"smartUser"}
	}
	if tokens == guidance.Entra {
		l.Dialect, l.Separator = "firely", "~"
		if server != guidance.Firely {
			l.Dialect, l.Separator = "ahds", ""
		}
	}
	return l
}

// snippet is the one for the link's own kind of server.
func snippet(l guidance.Link) guidance.Snippet {
	all := guidance.Of(l)
	switch l.Server {
	case guidance.Firely:
		return all.Firely
	case guidance.FHIRServer:
		return all.FHIRServer
	default:
		return all.AHDS
	}
}

var servers = []guidance.Server{guidance.Firely, guidance.FHIRServer, guidance.AHDS}

// TestSnippets compares each snippet with testdata, which -update writes.
func TestSnippets(t *testing.T) {
	for _, server := range servers {
		own, entra := linked(guidance.Own, server), linked(guidance.Entra, server)
		v1, other := entra, own
		v1.EntraAudience, v1.Authority = "https://clinic.example/fhir", "https://login.microsoftonline.us/"
		other.Server, other.AccessTokenRoles = "other", nil
		for name, text := range map[string][]byte{
			"fhirlink": encode(t, snippet(own)), "entra": encode(t, snippet(entra)), "entra-v1": encode(t, snippet(v1)),
			"other": encode(t, map[guidance.Server]guidance.Snippet{guidance.Firely: guidance.Of(other).Firely, guidance.FHIRServer: guidance.Of(other).FHIRServer, guidance.AHDS: guidance.Of(other).AHDS}[server]),
		} {
			file := filepath.Join("testdata", string(server)+"-"+name+".json")
			if *update {
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text, want) {
				t.Errorf("%s is not what the program makes, which is\n%s\nIf that is right, run go test ./shared/smartauth/guidance -update", file, text)
			}
		}
	}
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSnippetsCanBePasted: whatever the link, the settings have no empty value, nothing of the other mode,
// and no secret; and each snippet says that it was read and not run.
func TestSnippetsCanBePasted(t *testing.T) {
	for _, tokens := range []guidance.Tokens{guidance.Own, guidance.Entra} {
		for _, server := range append(slices.Clone(servers), "other") {
			for _, dialect := range []string{"firely", "ahds", "fhir-server-proxy"} {
				for _, audience := range []string{"api://" + api, api, "https://clinic.example/fhir", "api://clinic"} {
					l := linked(tokens, server)
					l.EntraAudience = audience
					if l.Dialect != "" {
						l.Dialect = dialect
					}
					for name, s := range map[string]guidance.Snippet{"firely": guidance.Of(l).Firely, "fhirServer": guidance.Of(l).FHIRServer, "ahds": guidance.Of(l).AHDS} {
						what := fmt.Sprintf("%s for %s tokens of a link of %s, %s, %s", name, tokens, server, dialect, audience)
						var settings any
						if err := json.Unmarshal(encode(t, s.Settings), &settings); err != nil {
							t.Fatal(err)
						}
						if at := empty(settings, ""); at != "" {
							t.Errorf("%s: %s is empty", what, at)
						}
						text := string(encode(t, s))
						if !strings.Contains(s.Note, "not run") || len(s.Needs) == 0 || slices.Contains(s.Needs, "") {
							t.Errorf("%s: %s", what, text)
						}
						for _, one := range []string{"Secret", "secret", "assword", "%!"} {
							if strings.Contains(text, one) {
								t.Errorf("%s has %q: %s", what, one, text)
							}
						}
						if inEntra := strings.Contains(string(encode(t, s.Settings)), tenant); inEntra != (tokens == guidance.Entra && name != "ahds") {
							t.Errorf("%s: Entra is named in the settings: %t", what, inEntra)
						}
					}
				}
			}
		}
	}
}

// TestAudienceInEntra: the client id of the API where the link's audience tells it, else that audience.
func TestAudienceInEntra(t *testing.T) {
	for audience, want := range map[string]string{
		"api://" + api: api, api: api, "https://clinic.example/fhir": "https://clinic.example/fhir", "api://clinic": "api://clinic", "api://" + api + "/fhir": "api://" + api + "/fhir",
		"api://" + strings.ReplaceAll(api, "-", ""): "api://" + strings.ReplaceAll(api, "-", ""), "urn:uuid:" + api: "urn:uuid:" + api,
	} {
		l := linked(guidance.Entra, guidance.Firely)
		l.EntraAudience = audience
		text := string(encode(t, guidance.Of(l)))
		if n := strings.Count(text, fmt.Sprintf(`"Audience": %q`, want)); n != 2 {
			t.Errorf("%s: Audience is %d times %s in %s", audience, n, want, text)
		}
		version := "2.0"
		if want != api {
			version = "1.0"
		}
		if n := strings.Count(text, "Audience is for access tokens of version "+version); n != 2 {
			t.Errorf("%s: %d sentences about version %s in %s", audience, n, version, text)
		}
	}
}

// empty returns where a value is empty, or "".
func empty(v any, at string) string {
	switch v := v.(type) {
	case nil:
		return at
	case string:
		if v == "" {
			return at
		}
	case []any:
		if len(v) == 0 {
			return at
		}
		for i, one := range v {
			if found := empty(one, fmt.Sprintf("%s[%d]", at, i)); found != "" {
				return found
			}
		}
	case map[string]any:
		if len(v) == 0 {
			return at
		}
		for key, one := range v {
			if found := empty(one, at+"."+key); found != "" {
				return found
			}
		}
	}
	return ""
}

// TestNotes: by the table of contract-smart.md §9, what each app is told.
func TestNotes(t *testing.T) {
	const (
		patient = "patient/*.read"
		v2      = "patient/Observation.rs?category=laboratory"
		writing = "patient/Observation.write"
		letters = "user/Observation.c"
		user    = "user/*.read"
		system  = "system/*.read"
		ehr     = "launch patient/*.read"
	)
	change := func(tokens guidance.Tokens, server guidance.Server, by func(*guidance.Link)) guidance.Link {
		l := linked(tokens, server)
		by(&l)
		return l
	}
	own, entra := guidance.Own, guidance.Entra
	for _, test := range []struct {
		link   guidance.Link
		scopes string
		want   []string // parts of the notes, in their order
	}{
		{linked(own, guidance.Firely), ehr + " user/*.cruds system/*.cruds", nil},
		{linked(own, guidance.FHIRServer), ehr + " user/*.cruds system/*.cruds", nil},
		{linked(own, "other"), ehr + " user/*.cruds system/*.cruds", nil},
		{linked(entra, "other"), ehr + " user/*.cruds system/*.cruds", nil},
		{change(own, guidance.FHIRServer, func(l *guidance.Link) { l.AccessTokenRoles = nil }), user, []string{`Set accessTokenRoles to ["smartUser"]`}},
		{change(own, guidance.FHIRServer, func(l *guidance.Link) { l.AccessTokenRoles = []string{"globalReader"} }), ehr + " " + system, []string{"Set accessTokenRoles"}},
		{change(own, guidance.FHIRServer, func(l *guidance.Link) { l.AccessTokenRoles = nil }), "openid launch", nil},
		{change(own, guidance.FHIRServer, func(l *guidance.Link) { l.Compartment = "claim" }), ehr, []string{"Set compartment to fhirUser"}},
		{change(own, guidance.FHIRServer, func(l *guidance.Link) { l.Compartment = "claim" }), patient + " launch/patient", nil},

		{linked(own, guidance.AHDS), patient, nil},
		{linked(own, guidance.AHDS), ehr, nil},
		{linked(own, guidance.AHDS), user, nil},
		{linked(own, guidance.AHDS), v2, []string{"let the app ask for patient/*.read"}},
		{linked(own, guidance.AHDS), writing, []string{"read only"}},
		{linked(own, guidance.AHDS), letters, []string{"read only", "SMART v1"}},
		{linked(own, guidance.AHDS), "patient/*.*", []string{"read only"}},
		{linked(own, guidance.AHDS), system, []string{"system/ scopes will be refused"}},
		{linked(own, guidance.AHDS), "openid fhirUser offline_access my-scope", nil},
		{linked(own, guidance.AHDS), "patient/Observation.x", nil}, // malformed: it does not write
		{change(own, guidance.AHDS, func(l *guidance.Link) { l.Compartment = "claim" }), ehr, []string{"Set compartment to fhirUser"}},

		{linked(entra, guidance.Firely), patient, []string{"Use tokens: fhirlink for apps with patient/"}},
		{linked(entra, guidance.Firely), ehr, []string{"Use tokens: fhirlink for apps with patient/"}}, // once
		{linked(entra, guidance.Firely), user, []string{"whether Firely Server reads scp was not established"}},
		{linked(entra, guidance.Firely), system, []string{"the claim roles"}},
		{linked(entra, guidance.FHIRServer), patient, []string{"smartUser"}},
		{linked(entra, guidance.FHIRServer), user, nil},
		{linked(entra, guidance.FHIRServer), ehr, []string{"smartUser", "the practitioner's own compartment"}},
		{linked(entra, guidance.FHIRServer), system, []string{"Set ScopesClaim"}},
		{linked(entra, guidance.AHDS), patient, []string{"FHIR SMART User"}},
		{linked(entra, guidance.AHDS), user, nil},
		{linked(entra, guidance.AHDS), "user/*.cruds", nil}, // it writes
		{linked(entra, guidance.AHDS), ehr, []string{"FHIR SMART User", "the practitioner's own compartment"}},
		{linked(entra, guidance.AHDS), system, []string{"was not established"}},

		{change(entra, guidance.FHIRServer, func(l *guidance.Link) { l.Dialect = "firely" }), user, []string{"Set dialect to"}},
		{change(entra, guidance.AHDS, func(l *guidance.Link) { l.Dialect = "aad-proxy" }), user, []string{"Set dialect to"}},
		{change(entra, guidance.AHDS, func(l *guidance.Link) { l.Dialect = "fhir-server-proxy" }), user, nil},
		{change(entra, guidance.Firely, func(l *guidance.Link) { l.Dialect = "ahds" }), user, []string{"Set dialect to", "scp"}},
		{change(entra, guidance.Firely, func(l *guidance.Link) { l.Dialect = "ahds" }), "openid", nil},
	} {
		got := guidance.AppNotes(test.link, strings.Fields(test.scopes))
		ok := len(got) == len(test.want)
		for i := 0; ok && i < len(got); i++ {
			ok = strings.Contains(got[i], test.want[i])
		}
		if !ok {
			t.Errorf("tokens %s, %s, scopes %s: %q, want %q", test.link.Tokens, test.link.Server, test.scopes, got, test.want)
		}
	}
}

// TestNotesOfSettings are those of all apps together.
func TestNotesOfSettings(t *testing.T) {
	for _, tokens := range []guidance.Tokens{guidance.Own, guidance.Entra} {
		for _, server := range append(slices.Clone(servers), "other") {
			l := linked(tokens, server)
			if got, want := guidance.Notes(l), guidance.AppNotes(l, strings.Fields("launch patient/*.cruds user/*.read system/*.read")); !slices.Equal(got, want) {
				t.Errorf("tokens %s, %s: %q, an app that wants everything is told %q", tokens, server, got, want)
			}
		}
	}
	if n := len(guidance.Notes(linked(guidance.Own, guidance.AHDS))); n != 3 {
		t.Errorf("%d notes for AHDS", n)
	}
}
