package fhir

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strings"
)

// OperationOutcome is the first issue of an OperationOutcome. Diagnostics is the server's text.
// It serves to distinguish cases and must never be shown.
type OperationOutcome struct {
	Code        string // issue type, e.g. not-found, forbidden, login, throttled
	Diagnostics string
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

// resourceType returns the type of a resource, even of a truncated one, or "" if body is not FHIR
// JSON.
func resourceType(body []byte) (name string) {
	s := newScanner(bytes.NewReader(body))
	// Any error except errFound means that the body has no type so far.
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
