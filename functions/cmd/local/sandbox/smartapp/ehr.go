package smartapp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"fhirlink/shared/date"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth/ehr"
)

// launchPath is where an EHR opens the app: it is the app's only page.
const launchPath = "/"

// launch is the body of POST /api/links/{slug}/launches.
type launch struct {
	ClientID    string      `json:"clientId"`
	User        string      `json:"user"`
	Patient     string      `json:"patient"`
	Encounter   string      `json:"encounter"`
	FHIRContext []reference `json:"fhirContext"`
	Iss         string      `json:"iss"`
	Intent      string      `json:"intent"`
}

type reference struct {
	Reference string `json:"reference"`
}

// launched is its answer.
type launched struct {
	Launch    string       `json:"launch"`
	ExpiresAt date.Instant `json:"expiresAt"`
	LaunchURL string       `json:"launchUrl"`
	Notes     []string     `json:"notes"`
}

// open does what the back end of an EHR does when its user, ada, opens the app while she works on a patient: it
// makes a launch, by the service that the API uses. It tells the page what was asked and answered, and the page
// goes where ada's browser is sent.
func (a *App) open(w http.ResponseWriter, r *http.Request) {
	slug, client, patient := r.URL.Query().Get("link"), r.URL.Query().Get("client"), r.URL.Query().Get("patient")
	var err error
	if c, ok := clinicOf(slug); ok {
		err = a.registerApps(r.Context(), c) // this site may have another port since
	}
	var all []usable
	if err == nil {
		all, err = a.usable(r.Context())
	}
	if err != nil {
		fail(w, err)
		return
	}
	i := slices.IndexFunc(all, func(u usable) bool {
		return u.Slug == slug && slices.ContainsFunc(u.Apps, func(app usableApp) bool { return app.ClientID == client })
	})
	if i < 0 {
		fail(w, problem.New(problem.LinkNotFound, "This site cannot use the link %.64q as the app %.128q.", slug, client))
		return
	}
	ask := launch{
		ClientID: client, User: objectID("ada"), Patient: patient, Encounter: patient + "-7", FHIRContext: []reference{{"Observation/" + patient + "-1"}}, Iss: all[i].FHIR, Intent: "review-results",
	}
	body, err := json.Marshal(ask)
	var in ehr.NewLaunch
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	var made ehr.Created
	if err == nil {
		made, err = a.EHR.Create(r.Context(), a.Organization, slug, in)
	}
	if err == nil && !strings.HasPrefix(made.URL, a.Origin+launchPath) {
		err = problem.New(problem.InvalidFields, "The app %s of the link %s has no launchUri at this site. Set it to %s with PATCH /api/links/%[2]s/apps/%[1]s.", ask.ClientID, slug, a.Origin+launchPath)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails when the client is gone
		"request": ask, "answer": launched{made.Launch, date.At(made.ExpiresAt), made.URL, made.Notes},
	})
}

// objectID is who a user of the sandbox's Entra is in the clinic's tenant.
func objectID(name string) string {
	for _, u := range browser.Users() {
		if strings.HasPrefix(u.Username, name+"@") {
			return u.Members[browser.Clinic].ObjectID
		}
	}
	return ""
}
