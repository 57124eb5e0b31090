package resource

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

type object map[string]any

// MarshalJSON writes resourceType and id first, as people expect.
func (o object) MarshalJSON() ([]byte, error) {
	order := []string{"id", "resourceType"} // the others are at -1
	names := slices.SortedFunc(maps.Keys(o), func(a, b string) int {
		return cmp.Or(slices.Index(order, b)-slices.Index(order, a), strings.Compare(a, b))
	})
	var out bytes.Buffer
	for _, name := range names {
		value, err := json.Marshal(o[name])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, ",%q:%s", name, value)
	}
	return append([]byte{'{'}, append(bytes.TrimPrefix(out.Bytes(), []byte{','}), '}')...), nil
}

// Resource is a record. All of them are made up.
type Resource struct {
	Type, ID string
	Subject  string   // the patient whom it is about, as Patient/id
	Actors   []string // practitioners who have to do with it, as Practitioner/id
	body     object
}

const (
	observationCategory = "http://terminology.hl7.org/CodeSystem/observation-category"
	conditionCategory   = "http://terminology.hl7.org/CodeSystem/condition-category"
	loinc               = "http://loinc.org"
	snomed              = "http://snomed.info/sct"
	practitioner        = "Practitioner/1"
)

// records are what every healthy server has, in the order of their ids.
var records = slices.Concat(
	[]Resource{newResource("Practitioner", "1", "", object{
		"name": []object{{"family": "Lovelace", "given": []string{"Ada"}, "prefix": []string{"Dr."}}}, "active": true,
	})},
	recordsOf("p-1", object{"name": []object{{"family": "Patient", "given": []string{"Pat"}}}, "gender": "female", "birthDate": "1986-03-14"}, "6.1", "62", "68"),
	recordsOf("p-2", object{"name": []object{{"family": "Other", "given": []string{"Quinn"}}}, "gender": "male", "birthDate": "1954-11-02"}, "7.4", "81", "77"),
)

// recordsOf are those of a patient.
func recordsOf(id string, patient object, hba1c, weight, pulse string) []Resource {
	patient["generalPractitioner"] = []object{{"reference": practitioner}}
	observation := func(number, category, code, name, value, unit string) Resource {
		return newResource("Observation", id+"-"+number, "Patient/"+id, object{
			"status": "final", "category": []object{concept(observationCategory, category, category)}, "code": concept(loinc, code, name),
			"effectiveDateTime": "2026-05-0" + number, "performer": []object{{"reference": practitioner}},
			"valueQuantity": object{"value": jsonNumber(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
		})
	}
	condition := func(number, category, code, name string) Resource {
		return newResource("Condition", id+"-"+number, "Patient/"+id, object{
			"clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
			"category":       []object{concept(conditionCategory, category, category)}, "code": concept(snomed, code, name), "asserter": object{"reference": practitioner},
		})
	}
	return []Resource{
		newResource("Patient", id, "", patient),
		observation("1", "laboratory", "4548-4", "Hemoglobin A1c", hba1c, "%"),
		observation("2", "laboratory", "2160-0", "Creatinine", "0.9", "mg/dL"),
		observation("3", "vital-signs", "8867-4", "Heart rate", pulse, "/min"),
		observation("4", "vital-signs", "29463-7", "Body weight", weight, "kg"),
		condition("5", "problem-list-item", "44054006", "Type 2 diabetes mellitus"),
		condition("6", "encounter-diagnosis", "195662009", "Acute viral pharyngitis"),
		newResource("Encounter", id+"-7", "Patient/"+id, object{
			"status": "in-progress", "class": object{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
			"participant": []object{{"individual": object{"reference": practitioner}}},
		}),
	}
}

// jsonNumber is written as it is.
type jsonNumber string

// MarshalJSON returns the number.
func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

func concept(system, code, text string) object {
	return object{"coding": []object{{"system": system, "code": code, "display": text}}, "text": text}
}

func newResource(kind, id, subject string, body object) Resource {
	body["resourceType"], body["id"], body["meta"] = kind, id, object{"versionId": "1", "lastUpdated": "2026-05-05T09:00:00Z"}
	r := Resource{Type: kind, ID: id, Subject: subject, body: body}
	if subject != "" {
		body["subject"] = object{"reference": subject}
	}
	if kind != "Practitioner" {
		r.Actors = []string{practitioner}
	}
	return r
}

// In reports whether the resource is in the compartment of a patient or a practitioner (FHIR R4,
// CompartmentDefinition), as far as these records go.
func (r Resource) In(of string) bool {
	return r.Type+"/"+r.ID == of || r.Subject == of || slices.Contains(r.Actors, of)
}

// Matches reports whether a search parameter finds the resource. One that is not known here finds nothing.
func (r Resource) Matches(name, value string) bool {
	return slices.ContainsFunc(strings.Split(value, ","), func(value string) bool {
		switch name {
		case "_id":
			return r.ID == value
		case "patient", "subject":
			return r.Subject != "" && strings.TrimPrefix(r.Subject, "Patient/") == strings.TrimPrefix(value, "Patient/")
		case "category":
			categories, _ := r.body["category"].([]object)
			return slices.ContainsFunc(categories, func(c object) bool { return hasCode(c, value) })
		case "code":
			code, _ := r.body["code"].(object)
			return hasCode(code, value)
		case "status", "gender":
			return r.body[name] == value
		case "birthdate":
			return r.body["birthDate"] == value
		}
		return false
	})
}

// hasCode compares a concept with code or system|code.
func hasCode(concept object, value string) bool {
	codings, _ := concept["coding"].([]object)
	return slices.ContainsFunc(codings, func(c object) bool {
		system, code, qualified := strings.Cut(value, "|")
		return !qualified && c["code"] == value || qualified && c["system"] == system && c["code"] == code
	})
}
