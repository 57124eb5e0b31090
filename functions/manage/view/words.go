package view

import (
	"embed"
	"encoding/json"
	"strconv"
	"strings"
)

// English is the English wording of a text of the pages, by which the catalogues know it. It is a type
// so that the compiler tells a text that is to be translated from one that is shown as it is, and so
// that a test finds every text.
type English string

// Words are the texts of the pages in one language.
type Words struct {
	Language string             // BCP 47, for the attribute lang
	texts    map[English]string // empty for English
}

//go:embed words
var catalogues embed.FS

// Languages are the languages of the pages, the default first.
var Languages = []string{"en", "de"}

// load reads the catalogue of a language.
func load(language string) (Words, error) {
	w := Words{Language: language, texts: map[English]string{}}
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
func (w Words) Text(english English, values ...any) string {
	text := string(english)
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
func (w Words) Count(n int, one, many English) string {
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
