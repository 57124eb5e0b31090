// Package fhirtest is a set of FHIR servers made of one [http.Handler], one per scenario,
// chosen by the first label of the host name. They behave on the wire as the FHIR service of
// Azure Health Data Services does (headers, 401 challenge, OperationOutcomes, the order in
// which things are looked at), each with one thing wrong. They serve tests and the sandbox
// of cmd/local; the package imports neither testing nor an SDK.
package fhirtest
