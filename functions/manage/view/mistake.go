package view

import (
	"html/template"

	"fhirlink/shared/problem"
)

// Mistake is what is wrong with a field. The API's texts are English, those of the pages are in the
// language of the page.
type Mistake struct {
	problem.Field
	translated bool
}

// Lang is the attribute of an element with the mistake's texts.
func (m Mistake) Lang() template.HTMLAttr {
	if m.translated {
		return ""
	}
	return inEnglish
}

// Mistakes are those that the API tells of.
func Mistakes(fields []problem.Field) []Mistake {
	var all []Mistake
	for _, f := range fields {
		all = append(all, Mistake{Field: f})
	}
	return all
}

// Mistake is one that only a page finds, in a list of its own.
func (w Words) Mistake(field, message, fix string) []Mistake {
	return []Mistake{{Field: problem.Field{Field: field, Message: message, Fix: fix}, translated: true}}
}
