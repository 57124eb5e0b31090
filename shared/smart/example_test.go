package smart_test

import (
	"fmt"

	"fhirlink/shared/smart"
)

// The examples of Firely's documentation.
func Example() {
	t, err := smart.New(smart.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, scope := range []string{
		"user/*.read",
		"patient/Observation.r?_id=Id-With-Dashes",
		`patient/Observation.r?_id=Id\With\BackwardSlash`,
	} {
		value, err := t.Encode(scope)
		fmt.Println(value, err)
	}
	// Output:
	// user-*.read <nil>
	// patient-Observation.r?_id=Id\-With\-Dashes <nil>
	// patient-Observation.r?_id=Id\\With\\BackwardSlash <nil>
}

func ExampleTranslator_Decode() {
	t, err := smart.New(smart.Options{Dialect: smart.AHDS, Resource: "https://ws-clinic.fhir.azurehealthcareapis.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Decode("https://ws-clinic.fhir.azurehealthcareapis.com/patient.all.rs"))
	fmt.Println(t.Decode("openid"))
	// Output:
	// patient/*.rs <nil>
	// openid <nil>
}

// A dialect without escapes refuses scopes that it would damage.
func ExampleTranslator_Encode_refused() {
	t, err := smart.New(smart.Options{Dialect: smart.AADProxy})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = t.Encode("patient/Observation.r?_id=Id-With-Dashes")
	fmt.Println(err)
	// Output:
	// It holds "-", which this dialect writes for "/" and cannot escape: it could not be told apart afterwards. Use the dialect firely, which escapes it, or ahds.
}

func ExampleTranslator_EncodeAll() {
	t, err := smart.New(smart.Options{Separator: smart.Tilde, Resource: "api://fhir"})
	if err != nil {
		fmt.Println(err)
		return
	}
	results := t.EncodeAll(smart.Split("openid launch/patient patient/Observation.sr openid"))
	fmt.Println(results.Scope())
	for _, r := range results {
		for _, w := range r.Warnings {
			fmt.Println(r.Input, w.Code)
		}
	}
	// Output:
	// openid api://fhir/launch~patient api://fhir/patient~Observation.sr
	// patient/Observation.sr permission_order
}

// A migration from the retired proxy to Azure Health Data Services.
func ExampleConversion() {
	from, err := smart.New(smart.Options{Dialect: smart.FHIRServerProxy})
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := smart.New(smart.Options{Dialect: smart.AHDS})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(smart.Conversion{From: from, To: to}.All(smart.Split("patient$*.read openid")).Scope())
	// Output:
	// patient.all.read openid
}

func ExampleAliases() {
	const long = "patient/DocumentReference.rs?category=http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note"
	aliases, err := smart.NewAliases(map[string]string{long: "docref-clinical-note"})
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := smart.New(smart.Options{Aliases: aliases})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Encode(long))
	// Output:
	// docref-clinical-note <nil>
}

func ExampleTranslator_Artefacts() {
	t, err := smart.New(smart.Options{Dialect: smart.AHDS, Resource: "https://ws-clinic.fhir.azurehealthcareapis.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	a := t.Artefacts(t.EncodeAll(smart.Split("patient/*.rs system/*.rs openid")))
	for _, r := range a.AppRoles {
		fmt.Println("app role", r.ID, r.Value)
	}
	for _, s := range a.OAuth2PermissionScopes {
		fmt.Println("delegated", s.ID, s.Value)
	}
	for _, s := range a.Skipped {
		fmt.Println("skipped", s.Scope, s.Code)
	}
	// Output:
	// app role e75d38df-e8cf-52d6-beed-5de36e541733 system.all.rs
	// delegated e65e7820-005a-595c-8ac0-afc2448b1f6c patient.all.rs
	// skipped openid built_in
}

func ExampleParse() {
	s := smart.Parse("patient/Observation.rs?category=laboratory&status=final")
	fmt.Println(s.Kind, s.Context, s.Type, s.Permissions, s.Version())
	for p := range s.Parameters() {
		fmt.Println(p.Name, p.Value)
	}
	// Output:
	// resource patient Observation rs 2
	// category laboratory
	// status final
}
