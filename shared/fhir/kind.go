package fhir

import "strings"

// Product is the software that serves FHIR at a host.
type Product string

// The products that are distinguished.
const (
	HealthDataServices Product = "Azure Health Data Services"
	AzureAPIForFHIR    Product = "Azure API for FHIR" // retired on 2026-09-30
	Generic            Product = "FHIR server"
)

// Cloud is the Microsoft cloud that a host belongs to. It is empty for hosts outside Microsoft's
// clouds.
type Cloud string

// The clouds with FHIR services (Private Link DNS zones, learn.microsoft.com).
const (
	PublicCloud  Cloud = "Azure"
	USGovernment Cloud = "Azure US Government"
)

// Authority returns the host of the cloud's Entra ID, or "" for the empty Cloud.
func (c Cloud) Authority() string { return authorities[c] }

var authorities = map[Cloud]string{
	PublicCloud:  "login.microsoftonline.com",
	USGovernment: "login.microsoftonline.us",
}

// Kind is a product in a cloud.
type Kind struct {
	Product Product
	Cloud   Cloud
}

// Microsoft reports whether the server behaves like Microsoft's FHIR service: no path, the 401
// challenge, probes of a missing Basic resource.
func (k Kind) Microsoft() bool {
	return k.Product == HealthDataServices || k.Product == AzureAPIForFHIR
}

// hosts maps host names to kinds; "*" matches one label. A new cloud needs a row here and one in
// authorities.
var hosts = []struct {
	pattern string
	kind    Kind
}{
	{"*.fhir.azurehealthcareapis.com", Kind{HealthDataServices, PublicCloud}},
	{"*.fhir.azurehealthcareapis.us", Kind{HealthDataServices, USGovernment}},
	{"*.dicom.azurehealthcareapis.com", Kind{dicomService, PublicCloud}},
	{"*.dicom.azurehealthcareapis.us", Kind{dicomService, USGovernment}},
	{"*.azurehealthcareapis.com", Kind{AzureAPIForFHIR, PublicCloud}},
	{"*.azurehealthcareapis.us", Kind{AzureAPIForFHIR, USGovernment}},
	{"portal.azure.com", Kind{webPage, PublicCloud}},
	{"*.portal.azure.com", Kind{webPage, PublicCloud}},
	{"portal.azure.us", Kind{webPage, USGovernment}},
	{"*.portal.azure.us", Kind{webPage, USGovernment}},
	{"entra.microsoft.com", Kind{webPage, PublicCloud}},
	{"entra.microsoft.us", Kind{webPage, USGovernment}},
}

// Products that are not FHIR servers, but whose addresses people paste.
const (
	dicomService Product = "DICOM service" // the sibling in the same workspace
	webPage      Product = "portal"        // where people manage the service
)

func kindOf(host string) Kind {
	host = strings.ToLower(host)
	_, parent, _ := strings.Cut(host, ".")
	for _, h := range hosts {
		if h.pattern == host || h.pattern == "*."+parent {
			return h.kind
		}
	}
	return Kind{Product: Generic}
}
