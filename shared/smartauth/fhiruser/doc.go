// Package fhiruser finds the FHIR resource of a user in what Entra says of them (SMART App Launch 2.2, "fhirUser").
package fhiruser
