package entratest

import (
	"slices"
	"sync"

	"fhirlink/shared/smart"
)

// RegisteredScopes returns the scopes, in SMART's spelling, that an administrator has registered by hand at
// the application of the sandbox's FHIR servers, in the spelling of every dialect that has one. Whoever asks
// for another one is refused with AADSTS650053, whatever a link's settings say is to be registered.
func RegisteredScopes() []string {
	return []string{
		"patient/*.rs", "patient/*.cruds", "patient/*.read", "patient/Patient.rs", "patient/Observation.rs", "patient/Condition.rs", "patient/Encounter.rs",
		"patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=vital-signs", "patient/Condition.rs?category=problem-list-item",
		"user/*.rs", "user/*.cruds", "user/*.read", "user/Patient.rs", "user/Observation.rs", "user/Practitioner.rs",
	}
}

// Registered is a [Tenant.Defines]: it reports whether a value stands for one of RegisteredScopes, at whatever
// FHIR server.
func Registered(_, scope string) bool { return slices.Contains(registered(), scope) }

// registered are the values of RegisteredScopes at Entra. Those that Entra does not take nobody could register.
var registered = sync.OnceValue(func() (values []string) {
	for _, o := range []smart.Options{
		{Dialect: smart.Firely, Separator: smart.Tilde}, {Dialect: smart.Firely, Separator: smart.Dash}, {Dialect: smart.AHDS}, {Dialect: smart.FHIRServerProxy}, {Dialect: smart.AADProxy},
	} {
		translator, err := smart.New(o)
		if err != nil {
			panic(err) // the options are constants
		}
		for _, result := range translator.EncodeAll(RegisteredScopes()) {
			if result.Entra.Registrable {
				values = appendNew(values, result.Output)
			}
		}
	}
	return values
})
