package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkSyntax checks that data is one JSON object, nested at most MaxDepth deep. The error
// describes the first mistake: what is wrong, where, and what to do. Errors of this package
// contain no quotation mark and no backslash, because the token endpoint repeats them and RFC
// 6749 §5.2 forbids both.
func checkSyntax(data []byte) error {
	text := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return malformed("The body begins with a byte order mark. Send UTF-8 without one.")
	case len(text) == 0:
		return malformed("The body has nothing but white space in it. Send a JSON object: {...}.")
	}
	at, wrong := firstMistake(data)
	left := unclosed(data[:at])
	switch {
	case len(left.open) > MaxDepth:
		return malformed("The body is nested deeper than %d levels at %s. Put fewer objects and arrays inside each other.",
			MaxDepth, position(data, left.open[MaxDepth]))
	case text[0] != '{':
		return malformed("The body must be a JSON object, {...}: at %s it does not begin with {.", position(data, len(data)-len(text)))
	case wrong == nil:
		return nil
	case at == len(data):
		return malformed("The body is not valid JSON, it ends too early at %s: %s", position(data, at), left.describe(data))
	}
	return malformed("The body is not valid JSON at %s: %s", position(data, at), describe(wrong, data, at))
}

// firstMistake returns the index of the first byte that is not JSON, with the error of
// encoding/json. It returns len(data) if there is no such byte, or if the end is missing.
func firstMistake(data []byte) (at int, wrong *json.SyntaxError) {
	if json.Valid(data) {
		return len(data), nil
	}
	var raw json.RawMessage
	if !errors.As(json.Unmarshal(data, &raw), &wrong) {
		wrong = &json.SyntaxError{Offset: int64(len(data))} // cannot occur: both agree on what is valid
	}
	if strings.HasPrefix(wrong.Error(), "unexpected end") {
		return len(data), wrong
	}
	return max(int(wrong.Offset)-1, 0), wrong
}

// unclosedParts is what a beginning of JSON leaves unclosed: the start of each open object and
// array, and the start of an open text, or -1.
type unclosedParts struct {
	open []int
	text int
}

// unclosed reads data, which must be the beginning of valid JSON. It stops where data is nested
// deeper than MaxDepth.
func unclosed(data []byte) unclosedParts {
	left := unclosedParts{text: -1}
	for i := 0; i < len(data) && len(left.open) <= MaxDepth; i++ {
		c, inText := data[i], left.text >= 0
		switch {
		case inText && c == '\\':
			i++ // the escaped character
		case inText && c == '"':
			left.text = -1
		case inText:
		case c == '"':
			left.text = i
		case c == '{' || c == '[':
			left.open = append(left.open, i)
		case c == '}' || c == ']':
			left.open = left.open[:len(left.open)-1]
		}
	}
	return left
}

func (left unclosedParts) describe(data []byte) string {
	if left.text >= 0 {
		return fmt.Sprintf("the text that begins at %s is not closed. Add a double quote, and what else is missing.", position(data, left.text))
	}
	last := left.open[len(left.open)-1] // exists: data begins with { and does not end
	what, end := "object", "}"
	if data[last] == '[' {
		what, end = "array", "]"
	}
	return fmt.Sprintf("the %s that begins at %s is not closed. Add %s, and what else is missing.", what, position(data, last), end)
}

// position describes an index as line and column, for people with an editor.
func position(data []byte, at int) string {
	before := data[:at]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

const (
	noValue  = "this is no value. Write texts in double quotes; other values are numbers, true, false, null, {...} and [...]."
	noEscape = "a backslash begins an escape that JSON does not have. Write two of them for a backslash."
)

// mistakes maps the contexts in which encoding/json meets a wrong character to our texts.
var mistakes = []struct{ context, words string }{
	{"after top-level value", "something follows the object. Take it out: the body is one object."},
	{"after object key:value pair", "a comma or } is missing. Separate the fields by commas, and close the object with }."},
	{"after array element", "a comma or ] is missing. Separate the elements by commas, and close the array with ]."},
	{"after object key", "a colon is missing. Write a name, a colon, and the value."},
	{"beginning of object key string", "this is no name. Write names in double quotes."},
	{"beginning of value", noValue},
	{"in literal", noValue},
	{"numeric literal", "this is no number. Write it like 12, -0.5 or 1e3."},
	{"in string literal", "a control character stands in a text. Write it as an escape: a line break is a backslash and n."},
	{"in string escape code", noEscape},
	{"hexadecimal character escape", noEscape},
}

// describe says what the wrong character at an index means, and how to fix it.
func describe(wrong *json.SyntaxError, data []byte, at int) string {
	context, c := wrong.Error(), data[at]
	before := bytes.TrimRight(data[:at], " \t\r\n")
	switch expected := strings.Contains(context, "looking for"); {
	case expected && (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return "nothing stands after the comma before it. Take the comma out."
	case c == '/' || c == '#':
		return "JSON has no comments. Take this one out."
	}
	for _, m := range mistakes {
		if strings.Contains(context, m.context) {
			return m.words
		}
	}
	return "this character cannot stand here. Look at what is around it."
}
