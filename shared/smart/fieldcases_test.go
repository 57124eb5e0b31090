package smart_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/smart"
)

// TestFieldCases runs scopes that were found in the field.
func TestFieldCases(t *testing.T) {
	data, err := os.ReadFile("testdata/field-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID    string
		Scope []string
		Right struct{ Warnings []string }
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 9 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		r := translator(t, smart.Options{}).EncodeAll(c.Scope)[0]
		if r.Error != nil || codes(r.Warnings) != strings.Join(c.Right.Warnings, " ") {
			t.Errorf("%s: %q %+v, want %q", c.ID, codes(r.Warnings), r.Error, c.Right.Warnings)
		}
	}
}

// TestDoubtfulScopes: what differs from a scope by capitals, HTML or commas gets a warning that says
// what is meant; what is right gets none.
func TestDoubtfulScopes(t *testing.T) {
	for scope, want := range map[string]string{
		"Patient/*.read": `wrong_case "patient/*.read"`, "USER/Observation.rs": `wrong_case "user/Observation.rs"`, "System/*.rs": `wrong_case "system/*.rs"`, "Launch/Patient": `wrong_case "launch/patient"`,
		"launch/Patient": `wrong_case "launch/patient"`, "launch/ENCOUNTER": `wrong_case "launch/encounter"`, "LAUNCH": `wrong_case "launch"`, "OpenID": `wrong_case "openid"`, "fhiruser": `wrong_case "fhirUser"`, "Offline_Access": `wrong_case "offline_access"`,
		"launch/*": "unknown_launch_context", "launch/patients": "unknown_launch_context", "launch/": "unknown_launch_context",
		"patient/Observation.rs?code=a&amp;status=final": "html_escaped", "patient/Observation.rs?date=&gt;2020": "html_escaped", "x&#38;y": "html_escaped", "x&#x26;y": "html_escaped",
		"openid,fhirUser": "comma_joined", "fhirUser;patient/Observation.rs": "comma_joined", "launch/patient,openid": "unknown_launch_context",
		"patient/ProcedureRequest.read": "stu3_resource_type ServiceRequest", "patient/ExpansionProfile.read": "stu3_resource_type STU3", "patient/MedicationOrder.read": "unknown_resource_type STU3", "ProcedureRequest.read": "context_missing",
		"launch": "", "launch/patient": "", "launch/encounter": "", "launch/imagingstudy": "", "launch/questionnaire?role=http://x.example/a": "", "fhirUser": "", "online_access": "", "Encounter": "",
		"patient/Observation.rs?code=a&status=final": "", "patient/Observation.rs?code=a,openid": "",

		// STU3 only, and what replaced it.
		"patient/DeviceComponent.read": "stu3_resource_type", "user/EligibilityResponse.read": "stu3_resource_type CoverageEligibilityResponse", "patient/ImagingManifest.read": "stu3_resource_type", "user/ProcessResponse.*": "stu3_resource_type", "patient/Sequence.read": "stu3_resource_type MolecularSequence",
		"system/ServiceDefinition.read": "stu3_resource_type", "patient/ReferralRequest.rs?status=active": "stu3_resource_type ServiceRequest", "launch/ReferralRequest": `wrong_case "launch/referralrequest"`, "launch/procedurerequest": "",
		// DSTU2, R6, and names that are none.
		"patient/DiagnosticOrder.read": "unknown_resource_type", "user/Conformance.read": "unknown_resource_type", "patient/DeviceAlert.rs": "unknown_resource_type", "patient/PersonalRelationship.rs": "unknown_resource_type", "patient/AllergyIntolerence.rs": "unknown_resource_type", "patient/Patients.read": "unknown_resource_type",
		// R4, R4B and R5.
		"patient/Transport.rs": "", "system/SubscriptionStatus.rs": "", "user/NutritionProduct.cruds": "", "patient/GenomicStudy.r": "", "system/Permission.rs": "", "patient/MolecularSequence.read": "", "user/ResearchElementDefinition.read": "", "patient/BodyStructure.rs": "", "patient/Media.read": "", "system/TestPlan.rs": "", "patient/CoverageEligibilityRequest.c": "", "system/SubstanceNucleicAcid.rs": "", "user/RequestOrchestration.rs": "", "patient/RequestGroup.read": "",
		// Capitals.
		"patient/*.Read": `wrong_case "patient/*.read"`, "user/Observation.RS": `wrong_case "user/Observation.rs"`, "PATIENT/Patient.read": `wrong_case "patient/Patient.read"`, "FHIRUSER": `wrong_case "fhirUser"`, "Profile": `wrong_case "profile"`, "launch/PATIENT": `wrong_case "launch/patient"`, "patient/Patient.WRITE": `wrong_case "patient/Patient.write"`, "patient/observation.read": `unknown_resource_type "Observation"`, "system/OBSERVATION.rs": `unknown_resource_type "Observation"`,
		// Spellings.
		"offline-access": `misspelled "offline_access"`, "offlineAccess": `misspelled "offline_access"`, "online-access": `misspelled "online_access"`, "fhir_user": `misspelled "fhirUser"`, "fhir-user": `misspelled "fhirUser"`, "open_id": `misspelled "openid"`, "openId": `wrong_case "openid"`, "patients/Observation.read": `misspelled "patient/Observation.read"`, "users/Patient.rs": `misspelled "user/Patient.rs"`, "patient:Observation.read": `misspelled "patient/Observation.read"`, "launch:patient": `misspelled "launch/patient"`, "patient/Observation:read": "unknown_resource_type", "patient/Observation/read": "unknown_resource_type",
		"'patient/*.read'": `misspelled "patient/*.read"`, "[openid]": `misspelled "openid"`, "`user/*.rs`": `misspelled "user/*.rs"`, "<launch/patient>": `misspelled "launch/patient"`,
		// HTML, lists.
		"patient/Observation.rs?a=1&amp;b=2&amp;c=3": "html_escaped", "patient/Condition.rs?category=http://x.example|a&#124;b": "html_escaped", "launch&sol;patient": "html_escaped", "patient&#47;*.read": "html_escaped", "patient/*.read&nbsp;openid": "html_escaped", "patient/Observation.rs?x=&quot;a&quot;": "html_escaped",
		"openid,profile": "comma_joined", "openid;email": "comma_joined", "profile,launch": "comma_joined", "patient/*.read,user/*.read": "comma_joined", "openid|profile": "comma_joined", "openid+profile+email": "already_encoded", "launch+openid": "already_encoded", "patient/*.read|user/*.read": "comma_joined",
		// Permissions.
		"patient/Observation.readwrite": "malformed_permission", "patient/*": "malformed_permission", "user/Patient.rw": "malformed_permission", "patient/Patient.search": "malformed_permission", "system/*.*.read": "malformed_permission", "patient/Observation.r,s": "malformed_permission", "user/*.dus": "permission_order", "patient/Observation.rrs": "repeated_permission",
		// Right.
		"user/*.*": "", "system/*.cruds": "", "patient/*.read": "", "system/Patient.rs?_lastUpdated=gt2026-01-01": "", "launch/location": "", "api.access": "", "access_as_user": "", "Patient.Read.All": "context_missing", "User.Read": "", "profiles": "", "email_verified": "", "https://graph.microsoft.com/User.Read": "", "openid-connect": "", "emails": "", "user_impersonation": "", "patient_portal": "", "launchpad": "", "systems-admin": "", "Fhir.ReadWrite": "",
		"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory": "", "patient/Patient.r?name=a+b": "", "patient/Observation.rs?code=a|b,profile": "",
	} {
		r := translator(t, smart.Options{Separator: smart.Tilde}).EncodeAll([]string{scope})[0]
		var found []string
		for _, w := range r.Warnings {
			found = append(found, w.Code, w.Message, w.Fix)
		}
		code, part, _ := strings.Cut(want, " ")
		if r.Error != nil || want == "" && found != nil || want != "" && (!slices.Contains(found, code) || !strings.Contains(strings.Join(found, " "), part)) {
			t.Errorf("%q: %q %+v, want %q", scope, found, r.Error, want)
		}
	}
}

// TestRefusedHasReasons: every value that Entra does not register has a reason.
func TestRefusedHasReasons(t *testing.T) {
	tr := translator(t, smart.Options{Resource: "api://fhir"})
	all := append(tr.DecodeAll([]string{"patient-Observation.rs", "api://fhir/", `api://fhir/a\b`, "patient/*.read", "api://fhir/x%20y", ".default"}), tr.EncodeAll([]string{".default", "ü", "a%20b"})...)
	for _, r := range all {
		if r.Error == nil || r.Entra.Registrable || len(r.Entra.Reasons) == 0 {
			t.Errorf("%q: %+v %+v", r.Input, r.Error, r.Entra)
		}
	}
	if r := tr.DecodeAll([]string{"patient-Observation.rs"})[0]; !slices.Equal(r.Entra.Reasons, []string{smart.Untranslatable}) {
		t.Errorf("%+v", r.Entra)
	}
}

func TestRegistrable(t *testing.T) {
	tr := translator(t, smart.Options{})
	for list, want := range map[string]bool{"patient/*.rs openid": true, "openid": true, "": false, "patient/*.rs patient/Observation.r?_id=a-b": false, strings.Repeat("x", 121): false} {
		if got := tr.EncodeAll(smart.Split(list)).Registrable(); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// TestInvalidResourceFix: the fix speaks of the resource, not of scopes.
func TestInvalidResourceFix(t *testing.T) {
	for _, resource := range []string{"api://a b", `api://"x"`, "api://ü", "api://a%20b", "api://a\x00"} {
		_, err := smart.New(smart.Options{Resource: resource})
		mistakes, ok := err.(smart.Mistakes)
		if !ok || len(mistakes) != 1 || mistakes[0].Code != "invalid_resource" || strings.Contains(mistakes[0].Fix, "scope") || !strings.Contains(mistakes[0].Fix, "App ID URI") {
			t.Errorf("%q: %v", resource, err)
		}
	}
}
