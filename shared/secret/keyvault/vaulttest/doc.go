// Package vaulttest stands in for Azure Key Vault: a server in memory that speaks as much of its
// REST interface as [fhirlink/shared/secret/keyvault] and
// [fhirlink/shared/signer/keyvault] use.
package vaulttest
