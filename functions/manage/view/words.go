package view

import (
	"embed"
	"encoding/json"
	"strconv"
	"strings"
)

// Words are the texts of the pages in one language. A text is known by its English wording.
type Words struct {
	Language string            // BCP 47, for the attribute lang
	texts    map[string]string // empty for English
}

//go:embed words
var catalogues embed.FS

// Languages are the languages of the pages, the default first.
var Languages = []string{"en"}

// load reads the catalogue of a language.
func load(language string) (Words, error) {
	w := Words{Language: language, texts: map[string]string{}}
	if language == Languages[0] {
		return w, nil
	}
	data, err := catalogues.ReadFile("words/" + language + ".json")
	if err != nil {
		return w, err
	}
	return w, json.Unmarshal(data, &w.texts)
}

// Text returns a text in the language, with the values of its placeholders: "{n} servers", "n", 3.
func (w Words) Text(english string, values ...any) string {
	text := english
	if translated, ok := w.texts[english]; ok {
		text = translated
	}
	for i := 0; i+1 < len(values); i += 2 {
		name, _ := values[i].(string)
		text = strings.ReplaceAll(text, "{"+name+"}", show(values[i+1]))
	}
	return text
}

// Count returns the text for one or for many, with n as its placeholder.
func (w Words) Count(n int, one, many string) string {
	if n == 1 {
		return w.Text(one, "n", n)
	}
	return w.Text(many, "n", n)
}

func show(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case interface{ String() string }:
		return v.String()
	}
	return ""
}
