// Command local runs all of fhirlink in one process on one machine. It serves the same functions
// as in the cloud, over embedded stores in one data folder. A sandbox Entra and sandbox FHIR
// servers are there to try them on; real servers can be linked too.
//
//	go run ./functions/cmd/local [-addr 127.0.0.1:7071] [-data .fhirlink] [-sandbox=true]
//
// It is for one person: a request without a sign-in has all rights, so the program answers this
// machine only. infra/settings.md lists its settings; all of them are optional here.
package main
