// Package tenantkeys fetches the keys with which Entra signs the access tokens of a resource, for those who publish
// them along with their own: a FHIR server that reads our document can then verify Entra's tokens.
package tenantkeys
