// Package intake checks what people type about a link: registrations, changes, new secrets. It is
// pure: it asks neither Entra nor the FHIR server nor a store, and the same input always gives
// the same result on the same day.
//
// A [Reader] goes through all fields before it reports, so that one answer lists every mistake.
// It corrects what can only be meant in one way, and notes each correction in words.
package intake
