package fhir

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

const outcomeType = "OperationOutcome"

// OperationOutcome is what an OperationOutcome says first. Diagnostics is the server's text. It
// serves to distinguish cases; Answer.Said returns what may be shown of it.
type OperationOutcome struct {
	Severity    string // of the first issue: fatal, error, warning, information, success
	Code        string // issue type, e.g. not-found, forbidden, login, throttled
	Diagnostics string

	text string // the diagnostics uncut
}

// routeNotFound is how Microsoft's server says that a path is not a FHIR path. The issue code is
// the same as for a resource that does not exist.
const routeNotFound = "The requested route was not found"

// NoRoute reports whether the server does not know the path, as opposed to the resource.
func (o OperationOutcome) NoRoute() bool { return strings.Contains(o.Diagnostics, routeNotFound) }

// Says reports whether the diagnostics contain the words, ignoring case.
func (o OperationOutcome) Says(words string) bool {
	return strings.Contains(strings.ToLower(o.Diagnostics), strings.ToLower(words))
}

// maxDiagnostics limits what is kept of a server's text, in bytes.
const maxDiagnostics = 1024

// parseOutcome returns the OperationOutcome in body, or nil if body is none. The caller limits
// body; encoding/json limits its nesting.
func parseOutcome(body []byte) *OperationOutcome {
	var wire struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Severity    string `json:"severity"`
			Code        string `json:"code"`
			Diagnostics string `json:"diagnostics"`
			Details     struct {
				Text   string `json:"text"`
				Coding []struct {
					Display string `json:"display"`
				} `json:"coding"`
			} `json:"details"`
		} `json:"issue"`
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if json.Unmarshal(body, &wire) != nil || wire.ResourceType != outcomeType {
		return nil
	}
	if len(wire.Issue) == 0 {
		return &OperationOutcome{}
	}
	var texts []string
	for _, issue := range wire.Issue {
		for _, text := range []string{issue.Diagnostics, issue.Details.Text} {
			if text != "" && (len(texts) == 0 || texts[len(texts)-1] != text) {
				texts = append(texts, text)
			}
		}
		if c := issue.Details.Coding; len(texts) == 0 && len(c) > 0 && c[0].Display != "" {
			texts = append(texts, c[0].Display)
		}
	}
	text := strings.Join(texts, "; ")
	return &OperationOutcome{
		Severity: wire.Issue[0].Severity, Code: wire.Issue[0].Code, Diagnostics: text[:min(len(text), maxDiagnostics)], text: text,
	}
}

// head is what the first members of a resource tell.
type head struct{ resourceType, bundleType string }

var errFound = errors.New("found")

// headOf returns the types of a resource, even of a truncated one, or none if body is not FHIR
// JSON. It stops as soon as it knows them, and before the entries of a Bundle.
func headOf(body io.Reader) (h head) {
	s := newScanner(body)
	// Any error except errFound means that the body has no type so far.
	_ = s.object(func(key string) (err error) {
		switch {
		case key == "resourceType":
			h.resourceType, err = s.text()
		case key == "type" && h.bundleType == "":
			h.bundleType, err = s.text()
		case key == "entry" && h.resourceType != "":
			return errFound
		default:
			err = s.skip()
		}
		if err == nil && h.resourceType != "" && (h.resourceType != "Bundle" || h.bundleType != "") {
			err = errFound
		}
		return err
	})
	if h.resourceType != "Bundle" {
		h.bundleType = ""
	}
	return h
}
