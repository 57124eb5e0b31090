// Package tabletest stands in for Azure Table Storage: a server in memory that speaks as much of
// its protocol as [fhirlink/shared/store/aztable] uses. It enforces the limits of the service in
// Azure, some of which Microsoft's emulator does not. The tests of aztable run against both.
//
// https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
package tabletest
