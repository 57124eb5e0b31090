// Package comparehosts holds tests that run the built programs, each as its host runs it, and
// compare their answers to the scripts of functions/testdata/scripts:
//
//   - cmd/local by itself,
//   - cmd/azure behind the simulated Functions host, in both ways of forwarding requests,
//   - cmd/lambda behind a Runtime API that sends the events of a Function URL and of API Gateway.
//
// Around them are stand-ins for Entra, Key Vault and FHIR servers, and Azurite when it runs. The
// programs must answer the same, except for what the host itself adds or removes.
package comparehosts
