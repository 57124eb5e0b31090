package fhir

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strings"
)

// OperationOutcome is the first issue of an OperationOutcome. Diagnostics is a server's own
// text: it is for telling cases apart, never for showing.
type OperationOutcome struct {
	Code        string // issue type, e.g. not-found, forbidden, login, throttled
	Diagnostics string
}

// routeNotFound is how Microsoft's server says that the path is no FHIR path; with the same
// issue code as a resource that does not exist.
const routeNotFound = "The requested route was not found"

// NoRoute tells a path that the server does not know from a missing resource.
func (o OperationOutcome) NoRoute() bool { return strings.Contains(o.Diagnostics, routeNotFound) }

// Says tells whether the diagnostics have the words, whatever their case.
func (o OperationOutcome) Says(words string) bool {
	return strings.Contains(strings.ToLower(o.Diagnostics), strings.ToLower(words))
}

// maxDiagnostics bounds what is kept of a server's text, in bytes.
const maxDiagnostics = 1024

// parseOutcome reads an OperationOutcome, nil if body is none. body is bounded by the
// caller; encoding/json bounds its nesting.
func parseOutcome(body []byte) *OperationOutcome {
	var wire struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Code        string `json:"code"`
			Diagnostics string `json:"diagnostics"`
			Details     struct {
				Text string `json:"text"`
			} `json:"details"`
		} `json:"issue"`
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if json.Unmarshal(body, &wire) != nil || wire.ResourceType != "OperationOutcome" {
		return nil
	}
	if len(wire.Issue) == 0 {
		return &OperationOutcome{}
	}
	first := wire.Issue[0]
	text := cmp.Or(first.Diagnostics, first.Details.Text)
	return &OperationOutcome{Code: first.Code, Diagnostics: text[:min(len(text), maxDiagnostics)]}
}

var errFound = errors.New("found")

// resourceType reads the type of a resource, also of one that is cut off; "" for what is not
// FHIR JSON.
func resourceType(body []byte) (name string) {
	s := newScanner(bytes.NewReader(body))
	// Any error but errFound ends a body that has no type so far.
	_ = s.object(func(key string) (err error) {
		if key != "resourceType" {
			return s.skip()
		}
		if name, err = s.text(); err == nil {
			err = errFound
		}
		return err
	})
	return name
}
