package fhirtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// reply answers one request.
type reply func(*exchange)

func (e *exchange) json(status int, mediaType string, v any) {
	e.w.Header().Set("Content-Type", mediaType+"; charset=utf-8")
	e.w.WriteHeader(status)
	_ = json.NewEncoder(e.w).Encode(v) // the caller went away
}

type object = map[string]any

func (e *exchange) outcome(status int, code, diagnostics string) {
	e.json(status, "application/fhir+json", outcomeOf(code, diagnostics))
}

func outcomeOf(code, diagnostics string) object {
	return object{
		"resourceType": "OperationOutcome", "id": newID(),
		"meta":  object{"lastUpdated": time.Now().UTC().Format("2006-01-02T15:04:05.0000000+00:00")},
		"issue": []object{{"severity": "error", "code": code, "diagnostics": diagnostics}},
	}
}

// answer returns a reply that sends a fixed OperationOutcome.
func answer(status int, code, diagnostics string) reply {
	return func(e *exchange) { e.outcome(status, code, diagnostics) }
}

// page returns a reply that sends a web page, as a proxy in front of a FHIR server does.
func page(status int) reply {
	return func(e *exchange) {
		e.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		e.w.WriteHeader(status)
		_, _ = fmt.Fprintf(e.w, "<!DOCTYPE html><html><head><title>%d</title></head><body><script>alert(1)</script></body></html>", status)
	}
}

// loginNeeded sends the 401 for a request without a token.
func (e *exchange) loginNeeded() { e.unauthorized("") }

func (e *exchange) unauthorized(description string) {
	challenge := fmt.Sprintf(`Bearer authorization_uri=%q, resource_id=%q, realm=%q`, e.authority(), e.wantedAudience(), e.wantedAudience())
	if description != "" {
		challenge += fmt.Sprintf(`, error="invalid_token", error_description=%q`, description)
	}
	e.challenge(challenge)
}

// challenge sends a 401 with the given header, or with none if header is empty.
func (e *exchange) challenge(header string) {
	if header != "" {
		e.w.Header().Set("WWW-Authenticate", header)
	}
	e.outcome(http.StatusUnauthorized, "login", "Authentication failed.")
}

func (e *exchange) readMissing() {
	if e.r.URL.Query().Get("_summary") == "count" {
		e.json(http.StatusOK, "application/fhir+json", object{"resourceType": "Bundle", "id": newID(), "type": "searchset", "total": 1})
		return
	}
	if e.r.URL.Query().Has("_count") {
		e.json(http.StatusOK, "application/fhir+json", object{
			"resourceType": "Bundle", "id": newID(), "type": "searchset",
			"link":  []object{{"relation": "self", "url": e.base() + e.r.URL.RequestURI()}},
			"entry": []object{{"fullUrl": e.base() + "/Patient/p1", "resource": object{"resourceType": "Patient", "id": "p1"}}},
		})
		return
	}
	e.outcome(http.StatusNotFound, "not-found", fmt.Sprintf("Resource type '%s' with id '%s' couldn't be found.", e.pathPart(0), e.pathPart(1)))
}

// writeMissing accepts conditional updates only: the sandbox stores nothing.
func (e *exchange) writeMissing() {
	if e.r.Method != http.MethodPut || e.r.Header.Get("If-Match") == "" {
		e.outcome(http.StatusMethodNotAllowed, "not-supported", "The sandbox stores nothing.")
		return
	}
	e.outcome(http.StatusNotFound, "not-found", fmt.Sprintf("Resource type '%s' with id '%s' and version '1' couldn't be found.", e.pathPart(0), e.pathPart(1)))
}

func (e *exchange) capability() { e.statement("CapabilityStatement", "4.0.1", e.authority()+"/oauth2") }

// statement sends a CapabilityStatement whose endpoints are below authority.
func (e *exchange) statement(resourceType, version, authority string) {
	e.json(http.StatusOK, "application/fhir+json", statementOf(e.base(), resourceType, version, authority))
}

func statementOf(base, resourceType, version, authority string) object {
	smart := "http://hl7.org/fhir/smart-app-launch/StructureDefinition/capabilities"
	var interactions []object
	for _, code := range []string{"create", "read", "vread", "history-type", "history-instance", "update", "delete", "search-type"} {
		interactions = append(interactions, object{"code": code})
	}
	var resources []object
	for _, name := range []string{"Basic", "Observation", "Patient"} {
		resources = append(resources, object{"type": name, "versioning": "versioned", "updateCreate": true, "interaction": interactions})
	}
	return object{
		"resourceType": resourceType, "url": base + "/metadata", "version": "4.0.0", "name": "Sandbox FHIR Server",
		"status": "active", "experimental": true, "date": "2026-08-21T16:01:53.0000000+00:00", "publisher": "fhirlink", "kind": "capability",
		"software": object{"name": "Sandbox FHIR Server", "version": "4.0.0"}, "fhirVersion": version, "format": []string{"application/fhir+json", "json"},
		"rest": []object{{
			"mode": "server",
			"security": object{
				"cors": true,
				"service": []object{{"coding": []object{{
					"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "OAuth",
				}}}},
				"extension": []object{
					{
						"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
						"extension": []object{
							{"url": "token", "valueUri": authority + "/token"},
							{"url": "authorize", "valueUri": authority + "/authorize"},
						},
					},
					{"url": smart, "valueCode": "client-confidential-symmetric"},
					{"url": smart, "valueCode": "permission-v2"},
				},
			},
			"resource": resources,
		}},
	}
}

func (e *exchange) smartConfiguration() { e.smartAt(e.authority() + "/oauth2") }

func (e *exchange) smartAt(authority string) {
	e.json(http.StatusOK, "application/json", object{
		"authorization_endpoint": authority + "/authorize", "token_endpoint": authority + "/token",
		"capabilities":          []string{"client-confidential-symmetric", "permission-patient", "permission-user", "permission-v2"},
		"grant_types_supported": []string{"authorization_code", "client_credentials"},
	})
}
