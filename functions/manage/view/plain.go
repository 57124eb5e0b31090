package view

import (
	"html/template"
	"slices"
	"strings"

	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
)

// fields are those whose names the API's texts use.
var fields = []Field{SlugField, DescriptionField, URLField, ClientIDField, SecretField, CertificateField, EndsField, ContactsField, TenantField, AudienceField}

var (
	// forPrograms is what a text says to callers of the API only, in the form "(API: …)".
	forPrograms = paste.MustCompile(` \(API: [^()]*\)`)
	// quoted is what stands in a text as it is: a command, or the words of a server or of a person.
	quoted = paste.MustCompile("`[^`]+`|“[^”]*”|\"[^\"]*\"")
	// fieldName is the name of a field that is no English word, or the word slug, alone between spaces
	// and punctuation.
	fieldName = paste.MustCompile(`(^|[ (])(fhirServerUrl|clientId|clientSecret|clientCertificate|secretExpiresOn|tenantId|[Ss]lug)([.,;:)]*(?: |$))`)
)

// Plain says a text of the API to people who see the page: with the fields' labels for their names, and
// without what only programs need. Commands, addresses, and what others have said or typed stay as they
// are. The rest stays English.
func (w Words) Plain(text string) string {
	text = forPrograms.ReplaceAllString(text, "")
	var b strings.Builder
	for text != "" {
		at := quoted.FindStringIndex(text)
		if at == nil {
			at = []int{len(text), len(text)}
		}
		b.WriteString(w.labelled(text[:at[0]]))
		b.WriteString(strings.Trim(text[at[0]:at[1]], "`"))
		text = text[at[1]:]
	}
	return b.String()
}

// labelled writes the labels of fields for their names.
func (w Words) labelled(text string) string {
	for { // two names can share the space between them
		next := fieldName.ReplaceAllStringFunc(text, func(found string) string {
			m := fieldName.FindStringSubmatch(found)
			i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == strings.ToLower(m[2][:1])+m[2][1:] })
			return m[1] + w.Text(fields[i].Label) + m[3]
		})
		if next == text {
			return text
		}
		text = next
	}
}

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

// Mistake is one that only a page finds, in a list of its own.
func (w Words) Mistake(field, message, fix string) []Mistake {
	return []Mistake{{Field: problem.Field{Field: field, Message: message, Fix: fix}, translated: true}}
}

// Mistakes are those that the API tells of. A field that was left empty is told of in the page's own
// words: its label, and the hint beside it.
func (w Words) Mistakes(found []problem.Field) (all []Mistake) {
	for _, m := range found {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == m.Field })
		switch {
		case m.Code != "required" || i < 0:
			m.Message, m.Fix = w.Plain(m.Message), w.Plain(m.Fix)
			all = append(all, Mistake{Field: m})
		case fields[i].Secret:
			all = append(all, w.Mistake(m.Field, w.Text("{label} is empty.", "label", w.Text(fields[i].Label)),
				w.Text("A secret is never written into a page, so it has to be pasted again for each try. Make a new one only if you do not have it any more."))...)
		default:
			all = append(all, w.Mistake(m.Field, w.Text("{label} is empty.", "label", w.Text(fields[i].Label)), w.Text("The text above the field says what belongs there."))...)
		}
	}
	return all
}
