package view

import (
	"errors"
	"fmt"
	"html/template"
	"time"

	"fhirlink/shared/date"
)

// functions are what templates may call.
func functions(w Words) template.FuncMap {
	return template.FuncMap{
		"t":        w.Text,
		"plain":    w.Plain,
		"titles":   w.titles,
		"count":    w.Count,
		"day":      w.day,
		"instant":  w.instant,
		"dict":     dict,
		"outcomes": func() []outcome { return outcomes },
		"english":  func() template.HTMLAttr { return inEnglish },
	}
}

// inEnglish marks a text that is English on every page.
const inEnglish template.HTMLAttr = `lang="en"`

// day shows a UTC date.
func (w Words) day(d date.Date) template.HTML {
	if d.IsZero() {
		return ""
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, d, w.date(d.Time()))) //nolint:gosec // numbers and names of months
}

// instant shows a time with its zone written out.
func (w Words) instant(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s, %s UTC</time>`, t.Format(time.RFC3339), w.date(t), t.Format("15:04"))) //nolint:gosec // numbers and names of months
}

var months = [...]English{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

func (w Words) date(t time.Time) string {
	return w.Text("{day} {month} {year}", "day", t.Day(), "month", w.Text(months[t.Month()-1]), "year", t.Year())
}

// dict makes a map of names and values, for a template that is given several.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: a name without a value")
	}
	all := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		all[name] = pairs[i+1]
	}
	return all, nil
}
