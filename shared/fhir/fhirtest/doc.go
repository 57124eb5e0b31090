// Package fhirtest provides simulated FHIR servers for tests and for the sandbox of cmd/local. One
// [http.Handler] serves one scenario per host name, chosen by its first label. On the wire a server
// behaves like the FHIR service of Azure Health Data Services: headers, 401 challenge,
// OperationOutcomes, and the order of its checks. In each scenario one thing is wrong. The package
// imports neither testing nor an SDK.
package fhirtest
