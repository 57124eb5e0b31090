package entratest_test

import (
	"testing"

	"fhirlink/shared/entra/entratest"
)

// TestRegistered: what is registered is there in each dialect's spelling, and nothing else is.
func TestRegistered(t *testing.T) {
	for value, want := range map[string]bool{
		"patient~*.rs": true, "patient-*.rs": true, "patient.all.rs": true, "patient$*.rs": true,
		"patient~Observation.rs?category=vital-signs": true, "patient.Observation.rs?category=vital-signs": true, "user.Patient.rs": true, "user~*.cruds": true,
		`patient-Observation.rs?category=vital\-signs`: false, // Entra takes no backslash
		"patient/*.rs": false, "patient~DiagnosticReport.cruds": false, "system~*.rs": false, "patient.*.rs": false, "openid": false, "": false,
	} {
		if got := entratest.Registered("https://clinic.fhir.sandbox.test", value); got != want {
			t.Errorf("%s: %t", value, got)
		}
	}
}
