package ehr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
)

const (
	org  = "11111111-1111-4111-8111-111111111111"
	slug = "clinic"
	ada  = "A0A0A0A0-0000-4000-8000-000000000001"
)

// desk is the launches of a deployment with one link.
type desk struct {
	*Service
	server smartauth.Server
	rows   *rowtest.Rows
	now    time.Time
}

// Settings implements [Servers].
func (d *desk) Settings(_ context.Context, organization, name string) (smartauth.Server, error) {
	if organization != org || name != slug {
		return smartauth.Server{}, problem.New(problem.LinkNotFound, "There is none.")
	}
	if d.server.Settings.ID == "" {
		return smartauth.Server{}, problem.New(problem.SMARTNotEnabled, "It is off.")
	}
	return d.server, nil
}

func newDesk() *desk {
	d := &desk{rows: rowtest.New(), now: time.Unix(1_800_000_000, 700)}
	clock := func() time.Time { return d.now }
	d.server = smartauth.Server{
		Link:     link.Link{Slug: slug, ID: "id-1", Organization: org, FHIRServerURL: "https://clinic.example/fhir", TenantID: org},
		Settings: smartauth.Settings{ID: "s-1", LinkID: "id-1", Tokens: smartauth.Own, FHIRBaseURLs: []string{"https://gateway.example/fhir"}},
		Apps: []smartauth.App{
			{ID: "a-1", ClientID: "chart", LaunchURI: "https://app.example/launch?x=1"},
			{ID: "a-2", ClientID: "off", LaunchURI: "https://app.example/launch", Disabled: true},
			{ID: "a-3", ClientID: "plain"},
			{ID: "a-5", ClientID: "backend", Grants: []smartauth.GrantType{smartauth.ClientCredentials}},
			{ID: "a-4", ClientID: "simple", LaunchURI: "http://localhost:3000/launch"},
		},
	}
	d.Service = New(Deps{
		Servers: d, Rows: d.rows, Now: clock,
		Sealer: &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", secrettest.New(), clock, slog.New(slog.DiscardHandler)), PublicURL: "https://links.example.org", Now: clock},
	})
	return d
}

func body(t testing.TB, text string) (in NewLaunch) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func (d *desk) create(t testing.TB, text string) Created {
	t.Helper()
	made, err := d.Create(t.Context(), org, slug, body(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (d *desk) look(t testing.TB, value string, app int) (Launch, store.Row, error) {
	t.Helper()
	return Look(t.Context(), handle.Store{Rows: d.Rows, Sealer: d.Sealer}, d.server, d.server.Apps[app], value, d.now)
}

// whole is a launch with every field that can be sent.
const whole = `{"clientId":"chart","user":"` + ada + `","patient":"p-1","encounter":"e.1","fhirContext":[ {"reference" : "ImagingStudy/1","x":"\u0026<é","n":1.0}, {"canonical":"https://q.example|1","type":"Questionnaire"},{"identifier":{"value":"7"}, "role":"https://role.example"},{"reference":"Patient/p-9","role":"https://role.example"}],` +
	`"iss":"https://gateway.example/fhir/","intent":"reconcile-medications","needPatientBanner":false,"smartStyleUrl":"https://style.example/s.json","tenant":"west","expiresInSeconds":60}`

// TestCreate: what is kept is what was sent, for as long as was asked, and the app is opened with what it needs.
func TestCreate(t *testing.T) {
	d := newDesk()
	made := d.create(t, whole)
	if want := time.Unix(1_800_000_060, 0); !made.ExpiresAt.Equal(want) || !strings.HasPrefix(made.Launch, "fll_") || len(made.Launch) != 4+32 || len(made.Notes) != 0 || made.Notes == nil {
		t.Errorf("%v, %q", made.ExpiresAt, made.Notes)
	}
	if want := "https://app.example/launch?x=1&iss=https%3A%2F%2Fgateway.example%2Ffhir&launch=" + made.Launch; made.URL != want {
		t.Errorf("%s\nwant %s", made.URL, want)
	}
	l, _, err := d.look(t, made.Launch, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := l.Context
	if l.User != strings.ToLower(ada) || l.AppID != "a-1" || c.Patient != "p-1" || c.Encounter != "e.1" || c.Intent != "reconcile-medications" || c.NeedPatientBanner == nil || *c.NeedPatientBanner || c.SmartStyleURL != "https://style.example/s.json" || c.Tenant != "west" {
		t.Error("another launch was kept than was sent")
	}
	const objects = `{"reference":"ImagingStudy/1","x":"\u0026<é","n":1.0} {"canonical":"https://q.example|1","type":"Questionnaire"} {"identifier":{"value":"7"},"role":"https://role.example"} {"reference":"Patient/p-9","role":"https://role.example"}`
	var kept []string
	for _, one := range c.FHIRContext {
		kept = append(kept, string(one))
	}
	if strings.Join(kept, " ") != objects {
		t.Errorf("%s\nwant %s", strings.Join(kept, " "), objects)
	}
	for _, row := range d.rows.All() {
		if strings.Contains(row.Value+row.Name, "p-1") || strings.Contains(row.Value+row.Name, made.Launch[4:]) {
			t.Error("the row says whom it is about")
		}
	}

	made = d.create(t, `{"user":"`+ada+`","intent":"x"}`)
	if !made.ExpiresAt.Equal(time.Unix(1_800_000_300, 0)) || made.URL != "" {
		t.Errorf("the defaults: %+v %q", made.ExpiresAt, made.URL)
	}
	for client, want := range map[string]string{"plain": "", "simple": "http://localhost:3000/launch?iss=https%3A%2F%2Fclinic.example%2Ffhir&launch="} {
		made := d.create(t, `{"clientId":"`+client+`","user":"`+ada+`","encounter":"e"}`)
		if address, _, _ := strings.Cut(made.URL, "fll_"); address != want {
			t.Errorf("%s is opened at %s", client, made.URL)
		}
		if u, err := url.Parse(made.URL); err != nil || made.URL != "" && u.Query().Get("launch") != made.Launch {
			t.Errorf("%s: %v", client, err)
		}
	}
}

// TestBodies: each mistake is named, and repeats nothing that may name a patient.
func TestBodies(t *testing.T) {
	d := newDesk()
	objects := func(objects string) string {
		return `{"user":"` + ada + `","fhirContext":[` + objects + `]}`
	}
	many := strings.Repeat(`{"reference":"ImagingStudy/1"},`, 32)
	for name, tt := range map[string]struct {
		body, want string // the fields with their codes, or the problem's code
	}{
		"nothing":                         {`{}`, "patient required"},
		"a user alone":                    {`{"user":"` + ada + `"}`, "patient required"},
		"an empty fhirContext":            {objects(``), "patient required"},
		"a patient":                       {`{"user":"` + ada + `","patient":"canary-1"}`, ""},
		"an encounter":                    {`{"user":"` + ada + `","encounter":"1"}`, ""},
		"an intent":                       {`{"user":"` + ada + `","intent":"sign"}`, ""},
		"fhirContext":                     {objects(`{"reference":"ImagingStudy/1"}`), ""},
		"no user":                         {`{"patient":"canary-1"}`, "user_required"},
		"a user by name":                  {`{"user":"canary@example.org","patient":"1"}`, "user object_id_syntax"},
		"a user with a line":              {`{"user":"` + ada + `\n","patient":"1"}`, "user object_id_syntax"},
		"a patient with its type":         {`{"user":"` + ada + `","patient":"Patient/canary-1"}`, "patient fhir_id"},
		"a long patient":                  {`{"user":"` + ada + `","patient":"` + strings.Repeat("1", 65) + `"}`, "patient fhir_id"},
		"the longest patient":             {`{"user":"` + ada + `","patient":"` + strings.Repeat("1", 64) + `"}`, ""},
		"a patient with a line":           {`{"user":"` + ada + `","patient":"1\n"}`, "patient fhir_id"},
		"an encounter with an underscore": {`{"user":"` + ada + `","encounter":"canary_1"}`, "encounter fhir_id"},
		"a long intent":                   {`{"user":"` + ada + `","intent":"` + strings.Repeat("x", 201) + `"}`, "intent text"},
		"an intent of two lines":          {`{"user":"` + ada + `","intent":"canary\nx"}`, "intent text"},
		"a tenant of two lines":           {`{"user":"` + ada + `","patient":"1","tenant":"canary\tx"}`, "tenant text"},
		"a style by http":                 {`{"user":"` + ada + `","patient":"1","smartStyleUrl":"http://canary.example/"}`, "smartStyleUrl url_not_https"},
		"another server":                  {`{"user":"` + ada + `","patient":"1","iss":"https://evil.example/fhir"}`, "iss unknown_value"},
		"a server with our name":          {`{"user":"` + ada + `","patient":"1","iss":"https://clinic.example/fhir//"}`, "iss unknown_value"},
		"our server, with a slash":        {`{"user":"` + ada + `","patient":"1","iss":"https://clinic.example/fhir/"}`, ""},
		"59 seconds":                      {`{"user":"` + ada + `","patient":"1","expiresInSeconds":59}`, "expiresInSeconds out_of_range"},
		"0 seconds":                       {`{"user":"` + ada + `","patient":"1","expiresInSeconds":0}`, "expiresInSeconds out_of_range"},
		"3601 seconds":                    {`{"user":"` + ada + `","patient":"1","expiresInSeconds":3601}`, "expiresInSeconds out_of_range"},
		"an hour":                         {`{"user":"` + ada + `","patient":"1","expiresInSeconds":3600}`, ""},
		"an unknown app":                  {`{"user":"` + ada + `","patient":"1","clientId":"none"}`, "app_not_found"},
		"a backend service":               {`{"user":"` + ada + `","patient":"1","clientId":"backend"}`, "app_not_found"},
		"an app that is off":              {`{"user":"` + ada + `","patient":"1","clientId":"off"}`, "app_not_found"},
		"mistakes come first":             {`{"patient":"1","clientId":"none","intent":"\n","encounter":"_"}`, "encounter fhir_id, intent text"},

		"32 objects":                  {objects(strings.TrimSuffix(many, ",")), ""},
		"33 objects":                  {objects(many + `{"reference":"ImagingStudy/1"}`), "fhirContext too_many"},
		"8 KiB":                       {objects(`{"reference":"ImagingStudy/1","x":"` + strings.Repeat("x", 8192-39) + `"}`), ""},
		"more than 8 KiB":             {objects(`{"reference":"ImagingStudy/1","x":"` + strings.Repeat("x", 8192-38) + `"}`), "fhirContext too_many"},
		"no object":                   {objects(`"ImagingStudy/canary"`), "fhirContext fhir_context"},
		"null":                        {objects(`null`), "fhirContext fhir_context"},
		"a list":                      {objects(`[]`), "fhirContext fhir_context"},
		"an empty object":             {objects(`{}`), "fhirContext fhir_context"},
		"a role only":                 {objects(`{"role":"x"}`), "fhirContext fhir_context"},
		"an empty identifier":         {objects(`{"identifier":{}}`), "fhirContext fhir_context"},
		"an identifier that is none":  {objects(`{"identifier":"canary"}`), "fhirContext fhir_context"},
		"another case":                {objects(`{"Reference":"ImagingStudy/1"}`), "fhirContext fhir_context"},
		"an absolute reference":       {objects(`{"reference":"https://canary.example/ImagingStudy/1"}`), "fhirContext fhir_context"},
		"no id":                       {objects(`{"reference":"ImagingStudy"}`), "fhirContext fhir_context"},
		"a version":                   {objects(`{"reference":"ImagingStudy/1/_history/2"}`), ""},
		"a number":                    {objects(`{"reference":7}`), "fhirContext fhir_context"},
		"a canonical":                 {objects(`{"canonical":"https://q.example|1"}`), ""},
		"an empty canonical":          {objects(`{"canonical":""}`), "fhirContext fhir_context"},
		"an empty role":               {objects(`{"reference":"ImagingStudy/1","role":""}`), "fhirContext fhir_context"},
		"a patient there":             {objects(`{"reference":"Patient/canary-1"}`), "fhirContext fhir_context"},
		"an encounter there":          {objects(`{"reference":"Encounter/canary-1"}`), "fhirContext fhir_context"},
		"the role launch":             {objects(`{"reference":"Encounter/1","role":"launch"}`), "fhirContext fhir_context"},
		"another role":                {objects(`{"reference":"Encounter/1","role":"https://role.example"}`), ""},
		"a patient by its identifier": {objects(`{"identifier":{"value":"canary"},"type":"Patient"}`), "fhirContext fhir_context"},
		"by the type's whole name":    {objects(`{"identifier":{"value":"canary"},"type":"http://hl7.org/fhir/StructureDefinition/Patient"}`), "fhirContext fhir_context"},
		"a patient under two names":   {objects(`{"reference":"Patient/canary-1","Reference":"ImagingStudy/1"}`), "fhirContext fhir_context"},
		"a type that lies":            {objects(`{"reference":"Patient/canary-1","type":"ImagingStudy"}`), "fhirContext fhir_context"},
	} {
		_, err := d.Create(t.Context(), org, slug, body(t, tt.body))
		var p *problem.Error
		got := ""
		if errors.As(err, &p) {
			got = string(p.Code)
			if p.Code == problem.InvalidFields {
				var all []string
				for _, f := range p.Fields {
					all = append(all, f.Field+" "+f.Code)
					if f.Message == "" || f.Fix == "" {
						t.Errorf("%s: %+v", name, f)
					}
				}
				slices.Sort(all)
				got = strings.Join(all, ", ")
			}
		}
		if got != tt.want || strings.Contains(fmt.Sprintf("%+v", p), "canary") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := d.Create(t.Context(), org, "other", body(t, whole)); problem.CodeOf(err) != problem.LinkNotFound {
		t.Errorf("another link: %v", err)
	}
	if _, err := d.Create(t.Context(), "other", slug, body(t, whole)); problem.CodeOf(err) != problem.LinkNotFound {
		t.Errorf("another organization: %v", err)
	}
	d.server.Settings.ID = ""
	if _, err := d.Create(t.Context(), org, slug, body(t, whole)); problem.CodeOf(err) != problem.SMARTNotEnabled {
		t.Errorf("SMART off: %v", err)
	}
}

// TestTokensOfEntra: where Entra's tokens do not name the patient, a launch without a user opens no record, and
// its EHR is warned.
func TestTokensOfEntra(t *testing.T) {
	d := newDesk()
	d.server.Settings.Tokens = "entra"
	made := d.create(t, `{"patient":"p-1"}`)
	if len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "no user") {
		t.Errorf("%q", made.Notes)
	}
	l, _, err := d.look(t, made.Launch, 0)
	if err != nil || !l.IsOf("anybody") {
		t.Errorf("%v", err)
	}
	if made = d.create(t, `{"patient":"p-1","user":"`+ada+`"}`); len(made.Notes) != 0 {
		t.Errorf("%q", made.Notes)
	}
}

// TestLook: a launch is known for its app at its link, as both were, until its time is over or it is spent.
func TestLook(t *testing.T) {
	bound, free := whole, `{"user":"`+ada+`","patient":"p-1","expiresInSeconds":60}`
	for name, tt := range map[string]struct {
		body string
		app  int
		do   func(t *testing.T, d *desk, row store.Row)
		want error
	}{
		"as it was":            {bound, 0, nil, nil},
		"for any app":          {free, 2, nil, nil},
		"for another app":      {bound, 2, nil, handle.ErrUnknown},
		"the app made anew":    {bound, 0, func(_ *testing.T, d *desk, _ store.Row) { d.server.Apps[0].ID = "a-9" }, handle.ErrUnknown},
		"SMART off and on":     {free, 0, func(_ *testing.T, d *desk, _ store.Row) { d.server.Settings.ID = "s-9" }, handle.ErrUnknown},
		"another FHIR server":  {free, 0, func(_ *testing.T, d *desk, _ store.Row) { d.server.Link.FHIRServerURL = "https://b.example" }, handle.ErrUnknown},
		"another tenant":       {free, 0, func(_ *testing.T, d *desk, _ store.Row) { d.server.Link.TenantID = "other" }, handle.ErrUnknown},
		"another link":         {free, 0, func(_ *testing.T, d *desk, _ store.Row) { d.server.Link.ID = "id-2" }, handle.ErrUnknown},
		"after 59 seconds":     {bound, 0, func(_ *testing.T, d *desk, _ store.Row) { d.now = d.now.Add(59 * time.Second) }, nil},
		"after a minute":       {bound, 0, func(_ *testing.T, d *desk, _ store.Row) { d.now = d.now.Add(time.Minute) }, handle.ErrEnded},
		"late, of another app": {bound, 2, func(_ *testing.T, d *desk, _ store.Row) { d.now = d.now.Add(time.Minute) }, handle.ErrUnknown},
		"swept": {bound, 0, func(t *testing.T, d *desk, row store.Row) {
			d.now = d.now.Add(time.Hour)
			if _, err := d.rows.Remove(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}, handle.ErrEnded},
		"spent":                 {bound, 0, spend, handle.ErrUsed},
		"spent, of another app": {bound, 2, spend, handle.ErrUnknown},
		"the table is down": {bound, 0, func(_ *testing.T, d *desk, _ store.Row) {
			d.rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
		}, store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			made := d.create(t, tt.body)
			_, row, err := d.look(t, made.Launch, 0)
			if err != nil {
				t.Fatal(err)
			}
			if tt.do != nil {
				tt.do(t, d, row)
			}
			l, _, err := d.look(t, made.Launch, tt.app)
			if !errors.Is(err, tt.want) || errors.Is(err, handle.ErrUnknown) && l.Context.Patient != "" {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	d := newDesk()
	made := d.create(t, bound)
	for _, value := range []string{"", "fll_", made.Launch[4:], "fll_" + made.Launch, made.Launch + "\n", made.Launch[:35], "flc_" + made.Launch[4:], "fll_" + string(handle.New(d.now))} {
		if _, _, err := d.look(t, value, 0); !errors.Is(err, handle.ErrUnknown) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func spend(t *testing.T, d *desk, row store.Row) {
	t.Helper()
	if err := (handle.Store{Rows: d.Rows, Sealer: d.Sealer}).Spend(t.Context(), row, ""); err != nil {
		t.Fatal(err)
	}
}

// TestFaults: while the database or the sealing keys cannot be reached, nothing is promised.
func TestFaults(t *testing.T) {
	for _, before := range []bool{true, false} {
		d := newDesk()
		d.rows.Fault = func(_ string, _ store.Key, at bool) error {
			if at == before {
				return fmt.Errorf("%w: canary", store.ErrUnavailable)
			}
			return nil
		}
		if made, err := d.Create(t.Context(), org, slug, body(t, whole)); problem.CodeOf(err) != problem.UpstreamUnavailable || made.Launch != "" {
			t.Errorf("%v", err)
		}
	}
}

// TestNothingPrints: neither what is sent nor what is kept nor what is answered shows itself.
func TestNothingPrints(t *testing.T) {
	d := newDesk()
	made := d.create(t, whole)
	l, _, err := d.look(t, made.Launch, 0)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	in := body(t, whole)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "in", in, "launch", l, "context", l.Context, "made", made)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "in", in, "launch", l, "context", l.Context, "made", made)
	shown := log.String() + fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v %+v %#v", in, in, in, in, l, l, l, made, made, made) + fmt.Sprintf("%v %#v", l.Context, &l.Context)
	for _, one := range []string{made.Launch, "p-1", "e.1", "reconcile", "ImagingStudy", strings.ToLower(ada), "west"} {
		if strings.Contains(strings.ToLower(shown), strings.ToLower(one)) {
			t.Errorf("%q is shown", one)
		}
	}
}

// FuzzFHIRContext: what is taken comes back as it was sent, and opens no other record than the launch says.
func FuzzFHIRContext(f *testing.F) {
	for _, seed := range []string{`{"reference":"ImagingStudy/1"}`, `{"canonical":"x"},{"identifier":{"a":1}}`, `{"reference":"Patient/1","Reference":"X/1"}`, `{"type":"Patient","identifier":{"a":1},"role":"launch"}`, `{"role":"é\u0001", "reference" : "A/1"}`, `[]`, `null`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var sent []json.RawMessage
		if json.Unmarshal([]byte("["+text+"]"), &sent) != nil {
			return
		}
		r := &reader{}
		kept := r.objects(sent)
		if r.mistakes != nil {
			return
		}
		if len(kept) != len(sent) || len(kept) > maxObjects {
			t.Fatalf("%d of %d objects", len(kept), len(sent))
		}
		for i, one := range kept {
			var was, is map[string]any
			if json.Unmarshal(sent[i], &was) != nil || json.Unmarshal(one, &is) != nil || !reflect.DeepEqual(was, is) {
				t.Errorf("%s became %s", sent[i], one)
			}
			about, _ := is["reference"].(string)
			kind, _, _ := strings.Cut(about, "/")
			if role, _ := is["role"].(string); (kind == "Patient" || kind == "Encounter" || is["type"] == "Patient") && (role == "" || role == "launch") {
				t.Errorf("%s is taken", one)
			}
		}
	})
}
