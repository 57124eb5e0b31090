package view

import (
	"encoding/json"
	"slices"
	"strconv"

	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// titles are those of the checks, by id.
var titles = map[string]English{
	verification.CheckFields: "Fields of the link", verification.CheckAddress: "Address of the FHIR server", verification.CheckMetadata: "Capability statement",
	verification.CheckAuthority: "Tenant and audience", verification.CheckToken: "Access token from Microsoft Entra", verification.CheckClaims: "Contents of the access token",
	verification.CheckRead: "Right to read", verification.CheckWrite: "Right to write",
}

// Title returns the title of a check.
func (w Words) Title(c verification.Check) string { return w.Text(titles[c.ID]) }

// titles returns the titles of all checks by id, in JSON, for the script.
func (w Words) titles() (string, error) {
	all := map[string]string{}
	for id, title := range titles {
		all[id] = w.Text(title)
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// Check is a check as the template "checks" shows it. The API's texts are English.
type Check struct {
	Kind, Icon            string
	Word, Title           English
	Message, Fix, Command string
	Errors                []problem.Field
	Took                  int64 // milliseconds; 0 is not shown
	Details               []Detail
}

// Detail is what support wants to know of a check.
type Detail struct {
	Name  English
	Value string
}

// outcome is how a check's status is shown.
type outcome struct {
	Status     verification.Status
	Kind, Icon string
	Word       English
}

var outcomes = []outcome{
	{Status: verification.Pass, Kind: "good", Icon: "tick", Word: "passed"},
	{Status: verification.Warn, Kind: "warning", Icon: "triangle", Word: "passed, with a warning"},
	{Status: verification.Fail, Kind: "bad", Icon: "octagon", Word: "failed"},
	{Status: verification.Skipped, Kind: "skipped", Icon: "circle", Word: "not run"},
}

func outcomeOf(status verification.Status) outcome {
	i := slices.IndexFunc(outcomes, func(o outcome) bool { return o.Status == status })
	return outcomes[max(0, i)]
}

// Checks returns the checks of a report.
func Checks(report verification.Report) []Check {
	all := make([]Check, len(report.Checks))
	for i, c := range report.Checks {
		s := outcomeOf(c.Status)
		shown := Check{Kind: s.Kind, Icon: s.Icon, Word: s.Word, Title: titles[c.ID], Fix: c.Fix, Command: c.Command, Errors: c.Errors, Took: c.DurationMS}
		if c.Status != verification.Pass {
			shown.Message = c.Message
		}
		if c.Status == verification.Fail || c.Status == verification.Warn {
			shown.Details = details(c)
		}
		all[i] = shown
	}
	return all
}

func details(c verification.Check) (all []Detail) {
	add := func(name English, value string) {
		if value != "" {
			all = append(all, Detail{name, value})
		}
	}
	add("Code", c.Code)
	if e := c.Evidence; e != nil {
		add("Request", e.Method+" "+e.URL)
		if e.HTTPStatus != 0 {
			add("Status", strconv.Itoa(e.HTTPStatus))
		}
		add("Correlation ID", e.CorrelationID)
		add("Trace ID", e.TraceID)
	}
	return all
}
