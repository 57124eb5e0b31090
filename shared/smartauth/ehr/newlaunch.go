package ehr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
)

// Bounds of a launch (contract-smart.md §4).
const (
	minSeconds, maxSeconds, defaultSeconds = 60, 3600, 300
	maxObjects                             = 32      // of fhirContext
	maxObjectBytes                         = 8 << 10 // of all of them
)

// NewLaunch is what an EHR sends to open an app.
type NewLaunch struct {
	secret.Hidden

	ClientID          string            `json:"clientId"`
	User              string            `json:"user"`
	Patient           string            `json:"patient"`
	Encounter         string            `json:"encounter"`
	FHIRContext       []json.RawMessage `json:"fhirContext"`
	Iss               string            `json:"iss"`
	Intent            string            `json:"intent"`
	NeedPatientBanner *bool             `json:"needPatientBanner"`
	SmartStyleURL     string            `json:"smartStyleUrl"`
	Tenant            string            `json:"tenant"`
	ExpiresInSeconds  *int              `json:"expiresInSeconds"`
}

var (
	objectID  = paste.MustCompile(`^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	fhirID    = paste.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
	reference = paste.MustCompile(`^([A-Z][A-Za-z]{0,63})/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?$`)
)

// read is a launch whose every field was checked.
type read struct {
	launch Launch
	app    smartauth.App // zero: any
	iss    string        // the FHIR base that the app is told
	life   time.Duration
	notes  []string
}

// read reads a launch at a server. Errors: InvalidFields, UserRequired, AppNotFound.
func (in NewLaunch) read(server smartauth.Server) (read, error) {
	r := &reader{}
	r.id("patient", in.Patient)
	r.id("encounter", in.Encounter)
	if in.User != "" && !objectID.MatchString(in.User) {
		r.fail("user", "object_id_syntax", "Send the user's object id (Entra admin center > Users, or the claim oid), not their name.", "user is no GUID.")
	}
	if !smartauth.IsLine(in.Intent) {
		r.fail("intent", "text", "Send a word or a sentence of one line.", "intent is too long, or has a control character.")
	}
	r.mistakes = append(r.mistakes, smartauth.Context{Tenant: in.Tenant, SmartStyleURL: in.SmartStyleURL}.Check()...)
	objects := r.objects(in.FHIRContext)
	if in.Patient == "" && in.Encounter == "" && len(in.FHIRContext) == 0 && in.Intent == "" {
		r.fail("patient", "required", "Send one of patient, encounter, fhirContext and intent.", "The launch says nothing of what the user is working on.")
	}
	iss := r.iss(in.Iss, server.BaseURLs())
	life := r.seconds(in.ExpiresInSeconds)
	if r.mistakes != nil {
		return read{}, problem.Invalid(r.mistakes...)
	}
	notes, err := in.anybody(server)
	if err != nil {
		return read{}, err
	}
	app, err := appOf(server, in.ClientID)
	if err != nil {
		return read{}, err
	}
	return read{
		Launch{
			SettingsID: server.Settings.ID, Served: server.Served(), AppID: app.ID, User: strings.ToLower(in.User),
			Context: Context{
				Patient: in.Patient, Encounter: in.Encounter, FHIRContext: objects, Intent: in.Intent,
				NeedPatientBanner: in.NeedPatientBanner, SmartStyleURL: in.SmartStyleURL, Tenant: in.Tenant,
			},
		}, app, iss, life, notes,
	}, nil
}

// anybody says what a launch means that names no user. Error: UserRequired where access tokens are ours: then
// the launch itself opens the record.
func (in NewLaunch) anybody(server smartauth.Server) (notes []string, err error) {
	switch {
	case in.User != "":
		return []string{}, nil
	case server.Settings.Tokens == smartauth.Own:
		const message, fix = "The launch opens a record, and does not say for whom.", "Send user, the Entra object id of the user who is signed in to the EHR."
		return nil, problem.InField(problem.UserRequired, "user", message, fix)
	}
	return []string{"The launch names no user: whoever of the tenant is made to open it gets this context. Send user, the Entra object id of the user who is signed in to the EHR."}, nil
}

// reader collects the mistakes of a request. They repeat no value: each may name a patient.
type reader struct{ mistakes []problem.Field }

func (r *reader) fail(field, code, fix, format string, args ...any) {
	r.mistakes = append(r.mistakes, problem.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (r *reader) id(field, value string) {
	if value != "" && !fhirID.MatchString(value) {
		r.fail(field, "fhir_id", "Send the id alone, without the type of the resource: 1 to 64 letters, digits, - and period.", "%s is no id of a FHIR resource.", field)
	}
}

func (r *reader) iss(value string, bases []string) string {
	iss := strings.TrimSuffix(value, "/")
	if value == "" {
		return bases[0]
	}
	if !slices.Contains(bases, iss) {
		r.fail("iss", "unknown_value", "Leave it out, or send one of "+strings.Join(bases, ", ")+".", "iss is not the base URL of the link's FHIR server, nor one of its fhirBaseUrls.")
	}
	return iss
}

func (r *reader) seconds(value *int) time.Duration {
	seconds := defaultSeconds
	if value != nil {
		seconds = *value
	}
	if seconds < minSeconds || seconds > maxSeconds {
		r.fail("expiresInSeconds", "out_of_range", fmt.Sprintf("Send a whole number from %d to %d.", minSeconds, maxSeconds), "expiresInSeconds is %d.", seconds)
	}
	return time.Duration(seconds) * time.Second
}

// objects checks the objects of fhirContext (SMART App Launch 2.2, "fhirContext"), and returns them without
// spaces: their members stay in their order and spelling.
func (r *reader) objects(sent []json.RawMessage) (kept []json.RawMessage) {
	size := 1 // [, and a comma or ] behind each
	for i, one := range sent {
		var b bytes.Buffer
		if err := json.Compact(&b, one); err != nil {
			r.fail("fhirContext", "fhir_context", "Send JSON.", "The object at place %d cannot be read.", i+1)
			return nil
		}
		kept = append(kept, b.Bytes())
		size += b.Len() + 1
		if mistake, fix := wrongWith(b.Bytes()); mistake != "" && i < maxObjects {
			r.fail("fhirContext", "fhir_context", fix, "The object at place %d %s.", i+1, mistake)
		}
	}
	if len(sent) > maxObjects || size > maxObjectBytes {
		r.fail("fhirContext", "too_many", fmt.Sprintf("Send at most %d objects of %d KiB together.", maxObjects, maxObjectBytes>>10), "fhirContext has %d objects of %d bytes.", len(sent), size)
	}
	return kept
}

// wrongWith says what is wrong with an object of fhirContext; an empty mistake: nothing. Names count letter by
// letter, as they do for apps.
func wrongWith(object []byte) (mistake, fix string) {
	var members map[string]json.RawMessage
	var identifier map[string]json.RawMessage
	if object[0] != '{' || json.Unmarshal(object, &members) != nil || members["identifier"] != nil && json.Unmarshal(members["identifier"], &identifier) != nil {
		return "is no object, or has an identifier that is none", `Write it as {"reference":"ImagingStudy/1"}.`
	}
	texts := map[string]string{}
	for _, name := range []string{"reference", "canonical", "type", "role"} {
		if members[name] == nil {
			continue
		}
		var text string
		if json.Unmarshal(members[name], &text) != nil || text == "" {
			return "has a member " + name + " that is no string, or an empty one", "Send a string, or leave it out."
		}
		texts[name] = text
	}
	kind := strings.TrimPrefix(texts["type"], "http://hl7.org/fhir/StructureDefinition/")
	if texts["reference"] != "" {
		parts := reference.FindStringSubmatch(texts["reference"])
		if parts == nil {
			return "has a reference that is not relative", "Write it as Type/id, such as ImagingStudy/1."
		}
		if kind != "" && kind != parts[1] {
			return "has a type other than its reference", "Leave type out."
		}
		kind = parts[1]
	}
	role := cmp.Or(texts["role"], "launch") // SMART: what has no role has this one
	switch {
	case texts["reference"] == "" && texts["canonical"] == "" && len(identifier) == 0:
		return "says of no resource which it is", "Send reference, canonical or identifier."
	case !smartauth.IsLine(role):
		return "has a role that is too long, or has a control character", "Send a URI, or leave it out."
	case (kind == "Patient" || kind == "Encounter") && role == "launch":
		return "is the patient or the encounter", "Send it as patient or encounter of the launch, or with a role that says how else it matters."
	}
	return "", ""
}
