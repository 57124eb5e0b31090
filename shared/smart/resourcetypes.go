package smart

import (
	"maps"
	"slices"
	"strings"
)

// resourceTypes holds the resource types of FHIR R4, R4B and R5 (hl7.org/fhir, "Resource Index").
var resourceTypes = setOf(`
Account ActivityDefinition ActorDefinition AdministrableProductDefinition AdverseEvent
AllergyIntolerance Appointment AppointmentResponse ArtifactAssessment AuditEvent Basic Binary
BiologicallyDerivedProduct BiologicallyDerivedProductDispense BodyStructure Bundle
CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition Citation
Claim ClaimResponse ClinicalImpression ClinicalUseDefinition CodeSystem Communication
CommunicationRequest CompartmentDefinition Composition ConceptMap Condition ConditionDefinition
Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue
Device DeviceAssociation DeviceDefinition DeviceDispense DeviceMetric DeviceRequest DeviceUsage
DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis
Encounter EncounterHistory Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare
EventDefinition Evidence EvidenceReport EvidenceVariable ExampleScenario ExplanationOfBenefit
FamilyMemberHistory Flag FormularyItem GenomicStudy Goal GraphDefinition Group GuidanceResponse
HealthcareService ImagingSelection ImagingStudy Immunization ImmunizationEvaluation
ImmunizationRecommendation ImplementationGuide Ingredient InsurancePlan InventoryItem
InventoryReport Invoice Library Linkage List Location ManufacturedItemDefinition Measure
MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge
MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
MedicinalProductContraindication MedicinalProductDefinition MedicinalProductIndication
MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured
MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect
MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionIntake NutritionOrder
NutritionProduct Observation ObservationDefinition OperationDefinition OperationOutcome
Organization OrganizationAffiliation PackagedProductDefinition Parameters Patient PaymentNotice
PaymentReconciliation Permission Person PlanDefinition Practitioner PractitionerRole Procedure
Provenance Questionnaire QuestionnaireResponse RegulatedAuthorization RelatedPerson RequestGroup
RequestOrchestration Requirements ResearchDefinition ResearchElementDefinition ResearchStudy
ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest
Slot Specimen SpecimenDefinition StructureDefinition StructureMap Subscription
SubscriptionStatus SubscriptionTopic Substance SubstanceDefinition SubstanceNucleicAcid
SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities TestPlan
TestReport TestScript Transport ValueSet VerificationResult VisionPrescription`)

// IsResourceType reports whether name is a resource type of FHIR R4, R4B or R5. Case matters.
func IsResourceType(name string) bool { return resourceTypes[name] }

// stu3Types holds the resource types of FHIR STU3 that R4 dropped, with the type that took their
// place, or "" (hl7.org/fhir/R4, "R3 to R4 version maps").
var stu3Types = map[string]string{
	"BodySite": "BodyStructure", "DataElement": "StructureDefinition", "DeviceComponent": "Device", "EligibilityRequest": "CoverageEligibilityRequest",
	"EligibilityResponse": "CoverageEligibilityResponse", "ExpansionProfile": "", "ImagingManifest": "ImagingStudy", "ProcedureRequest": "ServiceRequest",
	"ProcessRequest": "Task", "ProcessResponse": "Task", "ReferralRequest": "ServiceRequest", "Sequence": "MolecularSequence", "ServiceDefinition": "PlanDefinition",
}

// IsSTU3ResourceType reports whether name is a resource type of FHIR STU3 that no later version has.
// Case matters.
func IsSTU3ResourceType(name string) bool {
	_, found := stu3Types[name]
	return found
}

func setOf(names string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		set[name] = true
	}
	return set
}

// ResourceTypes returns the resource types of FHIR R4, R4B and R5 in alphabetical order.
func ResourceTypes() []string { return slices.Sorted(maps.Keys(resourceTypes)) }
