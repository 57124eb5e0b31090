// Package discovery says what the URL of a FHIR server alone tells, before anything is linked.
package discovery
