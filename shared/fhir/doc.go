// Package fhir speaks to FHIR servers as far as linking one needs: base URLs, the
// CapabilityStatement, the 401 challenge, OperationOutcomes, and probes that touch no
// patient's data.
//
// Everything that a server sends is read with a limit and reduced to a few known fields;
// no raw text of a server leaves this package.
package fhir
