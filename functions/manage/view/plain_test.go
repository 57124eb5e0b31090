package view

import (
	"regexp"
	"strings"
	"testing"

	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

func TestPlain(t *testing.T) {
	r, err := New(Service{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	english, german := r.words["en"], r.words["de"]
	for text, want := range map[string]string{
		"Leave tenantId empty, or give fhirServerUrl.":                                "Leave Tenant ID empty, or give FHIR Server URL.",
		"Send it instead (API: with PUT /api/links/SLUG/secret). A slug has no dots.": "Send it instead. A Customized URL has no dots.",
		"Run `az account show` in a shell.":                                           "Run az account show in a shell.",
		"None of ^ ` { is allowed.":                                                   "None of ^ ` { is allowed.",
		"Check the client id of slugs.":                                               "Check the client id of slugs.",
		"Find it with `az account show --query tenantId`, or here.":                   "Find it with az account show --query tenantId, or here.",
		"https://x.example/slug/tenantId is a web page.":                              "https://x.example/slug/tenantId is a web page.",
		"in lower case, e.g. my-slug-slug.":                                           "in lower case, e.g. my-slug-slug.",
		"Your organization has no webhook \"a slug\": the slug is wrong.":             "Your organization has no webhook \"a slug\": the Customized URL is wrong.",
		"It says: “give tenantId clientId”. Give tenantId (or clientId).":             "It says: “give tenantId clientId”. Give Tenant ID (or Client ID).",
		"Changing fhirServerUrl clientId, tenantId.":                                  "Changing FHIR Server URL Client ID, Tenant ID.",
	} {
		if got := english.Plain(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := german.Plain("give that one as tenantId"); got != "give that one as Mandanten-ID" {
		t.Error(got)
	}
}

// apiWord finds what only programs understand: names of the API's members, and its routes.
var apiWord = regexp.MustCompile(`/api/|\bslug\b|\b[a-z]+(?:Url|Id|Secret|On|Certificate)\b`)

// TestCatalogueIsPlain: what a page says of a failed check names no member and no route of the API.
func TestCatalogueIsPlain(t *testing.T) {
	for _, f := range verification.Failures() {
		for _, text := range []string{f.Message, f.Fix, f.MessageElsewhere, f.FixElsewhere} {
			if found := apiWord.FindString((Words{}).Plain(text)); found != "" {
				t.Errorf("%s says %q: %s", f.Code, found, text)
			}
		}
	}
	if apiWord.FindString("give tenantId") == "" {
		t.Error("nothing is found")
	}
}

// TestMistakes: an empty field is told of in the page's own words.
func TestMistakes(t *testing.T) {
	r, err := New(Service{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := r.words["de"].Mistakes([]problem.Field{
		{Field: "slug", Code: "required", Message: "The field slug is required.", Fix: "Choose one."},
		{Field: "clientSecret", Code: "required", Message: "The field clientSecret is required.", Fix: "Make one."},
		{Field: "slug", Code: "slug_taken", Message: "The slug x is taken.", Fix: "Choose another one."},
	})
	if len(found) != 3 || found[0].Message != "Das Feld „Individuelle URL“ ist leer." || found[0].Lang() != "" || !strings.Contains(found[1].Fix, "eingefügt") || found[2].Lang() == "" || !strings.HasPrefix(found[2].Message, "The Individuelle URL x") {
		t.Errorf("%+v", found)
	}
}

// TestTitles: the titles of the checks are those of the API.
func TestTitles(t *testing.T) {
	for id, title := range titles {
		if string(title) != verification.Title(id) {
			t.Errorf("%s: %q, and %q in the API", id, title, verification.Title(id))
		}
	}
	if len(titles) != 8 {
		t.Errorf("%d titles", len(titles))
	}
}
