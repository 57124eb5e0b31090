package scripttest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parsedCheck is a check split into its parts: subject at operator value.
type parsedCheck struct {
	subject  string // header, json, body, same, keep
	at       string // name of a header, path in JSON, or variable to keep
	operator string
	value    string
}

// operators lists the operators of each subject.
var operators = map[string][]string{
	"header": {"==", "~", "lacks", "absent"},
	"json":   {"==", "!=", "~", "has", "lacks", "length", "keys", "members", "absent"},
	"body":   {"==", "contains", "lacks", "empty"},
	"same":   {"as"},
	"keep":   {"header", "json"},
}

func (c Check) parse() (p parsedCheck, err error) {
	rest := c.Text
	p.subject, rest, _ = strings.Cut(rest, " ")
	known, ok := operators[p.subject]
	if !ok {
		return p, fmt.Errorf("%q is no check: it begins with none of header, json, body, same, keep", c.Text)
	}
	if p.subject != "body" && p.subject != "same" {
		p.at, rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	}
	p.operator, p.value, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	p.value = strings.TrimSpace(p.value)
	if !slices.Contains(known, p.operator) {
		return p, fmt.Errorf("%q: %q is none of %s", c.Text, p.operator, strings.Join(known, ", "))
	}
	return p, nil
}

// answer is what the server answered.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   any // nil if the body is not JSON
	masked string

	elsewhere bool // it is another server's
}

// holds checks an answer. The variables in value have been filled in.
func (p parsedCheck) holds(a answer) error {
	switch p.subject {
	case "header":
		return p.header(a.header)
	case "json":
		return p.json(a.json)
	case "body":
		return p.body(string(a.body))
	}
	return nil
}

func (p parsedCheck) header(h http.Header) error {
	values, there := h[http.CanonicalHeaderKey(p.at)]
	text := strings.Join(values, ", ")
	switch {
	case p.operator == "absent" && there:
		return fmt.Errorf("the header %s is %q", p.at, text)
	case p.operator == "absent":
		return nil
	case !there:
		return fmt.Errorf("the header %s is absent", p.at)
	case p.operator == "==" && text != p.value:
		return fmt.Errorf("the header %s is %q", p.at, text)
	case p.operator == "lacks" && strings.Contains(text, p.value):
		return fmt.Errorf("the header %s is %q", p.at, text)
	case p.operator == "~":
		return p.match(text)
	}
	return nil
}

func (p parsedCheck) match(text string) error {
	pattern, err := regexp.Compile(p.value)
	if err != nil {
		return err
	}
	if !pattern.MatchString(text) {
		return fmt.Errorf("%s is %q", p.at, text)
	}
	return nil
}

func (p parsedCheck) body(text string) error {
	text = strings.TrimSpace(text)
	ok := false
	switch p.operator {
	case "==":
		ok = text == p.value
	case "contains":
		ok = strings.Contains(text, p.value)
	case "lacks":
		ok = !strings.Contains(text, p.value)
	case "empty":
		ok = text == ""
	}
	if !ok {
		return errors.New("the body is not like that")
	}
	return nil
}

func (p parsedCheck) json(root any) error {
	if root == nil {
		return errors.New("the answer is no JSON")
	}
	got, there := find(root, p.at)
	if p.operator == "absent" {
		if there {
			return fmt.Errorf("%s is %s", p.at, encode(got))
		}
		return nil
	}
	if !there {
		return fmt.Errorf("%s is absent", p.at)
	}
	return p.compare(got)
}

func (p parsedCheck) compare(got any) error {
	switch p.operator {
	case "~":
		text, ok := got.(string)
		if !ok {
			return fmt.Errorf("%s is no string: %s", p.at, encode(got))
		}
		return p.match(text)
	case "length":
		if n := strconv.Itoa(length(got)); n != p.value {
			return fmt.Errorf("%s has the length %s: %s", p.at, n, encode(got))
		}
		return nil
	case "keys", "members":
		object, _ := got.(map[string]any)
		names, want := slices.Sorted(maps.Keys(object)), slices.Sorted(strings.FieldsSeq(p.value))
		if p.operator == "members" {
			names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(want, name) })
		}
		if !slices.Equal(names, want) {
			return fmt.Errorf("%s has the keys %s", p.at, strings.Join(slices.Sorted(maps.Keys(object)), " "))
		}
		return nil
	}
	want, err := decode([]byte(p.value))
	if err != nil {
		return fmt.Errorf("%s is no JSON: %w", p.value, err)
	}
	ok := reflect.DeepEqual(got, want) == (p.operator == "==")
	if p.operator == "has" || p.operator == "lacks" {
		ok = contains(got, want) == (p.operator == "has")
	}
	if !ok {
		return fmt.Errorf("%s is %s", p.at, encode(got))
	}
	return nil
}

func length(v any) int {
	switch v := v.(type) {
	case string:
		return len([]rune(v))
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	}
	return -1
}

func contains(in, v any) bool {
	switch in := in.(type) {
	case []any:
		return slices.ContainsFunc(in, func(element any) bool { return reflect.DeepEqual(element, v) })
	case map[string]any:
		name, ok := v.(string)
		_, there := in[name]
		return ok && there
	}
	return false
}
