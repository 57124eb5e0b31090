package view

import "net/url"

// Field is one field of a form, as the template "field" shows it.
type Field struct {
	Name                  string
	Label, Hint, Optional English
	Type, Autocomplete    string
	Value                 string
	Lines                 int  // of a text area; 0: one line
	Secret                bool // it is never shown again
	Short                 bool
	Asks                  string // where the script asks what the value tells; empty: nowhere
	Again                 bool   // the secret that was typed is gone
	Mistakes              []Mistake
}

// With returns the field with what was typed and what is wrong with it. A secret is not shown again.
func (f Field) With(typed url.Values, mistakes []Mistake) Field {
	f.Value = typed.Get(f.Name)
	for _, m := range mistakes {
		if m.Field.Field == f.Name {
			f.Mistakes = append(f.Mistakes, m)
		}
	}
	if f.Secret {
		f.Again = f.Value != ""
		f.Value = ""
	}
	return f
}

// Fill is With for each of the fields.
func Fill(fields []Field, typed url.Values, mistakes []Mistake) []Field {
	filled := make([]Field, len(fields))
	for i, f := range fields {
		filled[i] = f.With(typed, mistakes)
	}
	return filled
}
