package intake

import (
	"fmt"

	"fhirlink/shared/date"
	"fhirlink/shared/problem"
)

// Reader reads field after field and collects every mistake and every correction. No message
// quotes a value: in the wrong field it may be the client secret.
type Reader struct {
	today     date.Date
	anyTarget bool
	mistakes  []problem.Field
	notes     []string
}

// NewReader makes a Reader. With anyTarget the addresses of FHIR servers are judged when they
// are dialled, and not here.
func NewReader(today date.Date, anyTarget bool) *Reader {
	return &Reader{today: today, anyTarget: anyTarget}
}

// Err is nil, or all mistakes in one InvalidFields error.
func (r *Reader) Err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	return problem.Invalid(r.mistakes...)
}

// Mistakes are all mistakes so far.
func (r *Reader) Mistakes() []problem.Field { return r.mistakes }

// Notes say in words what was corrected in the input so far.
func (r *Reader) Notes() []string { return r.notes }

func (r *Reader) bad(mistake *problem.Field) {
	if mistake != nil {
		r.mistakes = append(r.mistakes, *mistake)
	}
}

func (r *Reader) fail(field, code, fix, format string, args ...any) {
	r.bad(&problem.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// Note adds a note for the person who typed.
func (r *Reader) Note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}
