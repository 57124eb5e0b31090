// Package fhir talks to FHIR servers as far as linking one requires: base URLs, the
// CapabilityStatement, the 401 challenge, OperationOutcomes, and probes that touch no patient's
// data.
//
// Everything that a server sends is read with a limit and reduced to a few known fields. Of a
// server's text, no more leaves this package than Printable lets through.
package fhir
