// Package sandbox runs a Microsoft Entra authority and a set of FHIR servers inside the process,
// so that everything can be tried without an account anywhere:
//
//	https://login.sandbox.test/             the authority
//	https://{scenario}.fhir.sandbox.test/   a FHIR server; {scenario} says what is wrong with it
//	https://webhooks.sandbox.test/          a receiver of notifications, see [Sink]
//
// They speak TLS on one loopback port. The programs reach them with the same HTTP clients as real
// servers. [Sandbox.Intercept] dials before DNS and before the guard of package egress, for names
// below sandbox.test only (.test is reserved, RFC 6761).
//
// Browsers cannot ask for these names. They get sites of their own at 127.0.0.1, see [Sandbox.Open], and
// the FHIR servers at the deployment's own address, see package resource.
package sandbox
