package lastreport

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"fhirlink/shared/date"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// By is on what occasion a link was verified.
type By string

// The occasions.
const (
	Register By = "register"
	Verify   By = "verify"  // somebody asked for it
	Change   By = "change"  // of fields or of the secret
	Service  By = "service" // the timer
)

// Report is the row.
type Report struct {
	LinkID string // of the registration: a slug that is registered again has another
	At     time.Time
	By     By
	Report verification.Report
}

// Store keeps one report for each slug.
type Store interface {
	// PutReport stores the report in the place of an earlier one. Error: store.ErrUnavailable.
	PutReport(ctx context.Context, slug string, r Report) error
	// LastReport returns the report. Errors: store.ErrNotFound, store.ErrUnavailable.
	LastReport(ctx context.Context, slug string) (Report, error)
	// RemoveReport removes the report; that there is none is no error. Error: store.ErrUnavailable.
	RemoveReport(ctx context.Context, slug string) error
}

// MaxBytes is how long a report in JSON is at most. The rest of the row fits into 16 KiB with it.
const MaxBytes = 16<<10 - 512

// Stored is r as every Store keeps it: its time in UTC and cut to the microsecond, its report cut to
// MaxBytes, without what is not in its JSON.
func (r Report) Stored() Report {
	r.At = date.Stored(r.At)
	r.Report = Fit(r.Report, MaxBytes)
	r.Report.RetryAfter = 0
	for i := range r.Report.Checks {
		r.Report.Checks[i].Outcome = ""
	}
	return r
}

// Fit returns a report of at most so many bytes in JSON: with shorter texts if it must, and with no
// command rather than a part of one. It shares no memory with the report that it is given.
func Fit(r verification.Report, bytes int) verification.Report {
	r.Checks = slices.Clone(r.Checks)
	for i := range r.Checks {
		if e := r.Checks[i].Evidence; e != nil {
			evidence := *e
			r.Checks[i].Evidence = &evidence
		}
		r.Checks[i].Errors = slices.Clone(r.Checks[i].Errors)
	}
	for longest := 4096; size(r) > bytes && longest > 0; longest /= 2 {
		r = shorten(r, longest)
	}
	return r
}

func size(r verification.Report) int {
	data, err := json.Marshal(r)
	if err != nil {
		return 0 // a report has nothing that JSON cannot hold
	}
	return len(data)
}

// shorten cuts every text of the report in place.
func shorten(r verification.Report, longest int) verification.Report {
	r.TenantID, r.Audience, r.ObjectID = cut(r.TenantID, longest), cut(r.Audience, longest), cut(r.ObjectID, longest)
	for i := range r.Checks {
		c := &r.Checks[i]
		c.Message, c.Fix = cut(c.Message, longest), cut(c.Fix, longest)
		if len(c.Command) > longest {
			c.Command = ""
		}
		if c.Evidence != nil && len(c.Evidence.URL) > longest {
			c.Evidence.URL = ""
		}
		if longest < 512 {
			c.Errors = slices.Clip(c.Errors[:min(len(c.Errors), 8)])
		}
		for j, e := range c.Errors {
			c.Errors[j] = problem.Field{Field: cut(e.Field, longest), Code: e.Code, Message: cut(e.Message, longest), Fix: cut(e.Fix, longest)}
		}
	}
	return r
}

// cut returns the beginning of a text, in whole characters, and marks that it was cut.
func cut(text string, longest int) string {
	const mark = "…"
	if len(text) <= longest {
		return text
	}
	text = text[:max(0, longest-len(mark))]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return strings.TrimRight(text, " ") + mark
}
