package httpx

import (
	"encoding"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"fhirlink/shared/problem"
)

// Limits of a JSON body.
const (
	MaxBody  = 64 << 10 // bytes
	MaxDepth = 16       // nested objects and arrays, including the outermost
)

// Object is the JSON object of a request: checked, but not yet decoded.
type Object struct {
	within  string   // the names of the objects around it, each with a period behind it
	names   []string // in the order of the body
	members map[string]json.RawMessage
}

// DecodeJSON reads the body of r, a JSON object, into the struct that into points to. It is
// stricter than encoding/json: names must match the struct's json tags exactly and be unique,
// text must be UTF-8, nothing may follow the object, and MaxBody and MaxDepth apply.
//
// A member whose type has an UnmarshalJSON or UnmarshalText method is decoded by it; if the error
// of UnmarshalJSON is a *problem.Error, it is returned unchanged. A null leaves other members
// unchanged. The members of a struct inside a struct must match, too, and errors name them as outer.inner. Structs
// in arrays and maps are checked only for unique names and depth.
//
// Every error is a *problem.Error: UnsupportedMediaType, BodyTooLarge or MalformedBody. It names
// the member, never its value.
func DecodeJSON(r *http.Request, into any) error {
	o, err := ReadObject(r)
	if err != nil {
		return err
	}
	return o.Into(into)
}

// ReadObject is the first half of DecodeJSON: every check that needs no struct.
func ReadObject(r *http.Request) (Object, error) {
	if err := requireJSON(r); err != nil {
		return Object{}, err
	}
	data, err := ReadBody(r)
	if err != nil {
		return Object{}, err
	}
	return parseObject(data)
}

// Has reports whether the object has a member of this name that is not null.
func (o Object) Has(name string) bool {
	raw, ok := o.members[name]
	return ok && string(raw) != "null"
}

// Into is the second half of DecodeJSON: it decodes the members into the struct that into points
// to.
func (o Object) Into(into any) error {
	target := reflect.ValueOf(into).Elem()
	fields := fieldsByName(target.Type())
	for _, name := range o.names {
		i, ok := fields[name]
		if !ok {
			return unknown(o.within, name, fields)
		}
		if err := o.decode(name, target.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// decode decodes a member into a field.
func (o Object) decode(name string, field reflect.Value) error {
	raw := o.members[name]
	if raw[0] != '{' || !isStruct(field.Type()) {
		if err := json.Unmarshal(raw, field.Addr().Interface()); err != nil {
			return wrongType(o.within+name, err)
		}
		return nil
	}
	inner, err := members(raw)
	if err != nil {
		return err
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	inner.within = o.within + name + "."
	return inner.Into(field.Addr().Interface())
}

// isStruct reports whether t is a struct, or a pointer to one, that does not decode itself.
func isStruct(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	return t.Elem().Kind() == reflect.Struct && !t.Implements(reflect.TypeFor[json.Unmarshaler]()) && !t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func fieldsByName(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = i
		}
	}
	return fields
}

func unknown(within, name string, fields map[string]int) error {
	known := make([]string, 0, len(fields))
	for field := range fields {
		if strings.EqualFold(field, name) {
			return malformedField(within+name, "unknown_field", "The name is written "+quote(field)+": upper and lower case count.",
				"Write "+quote(field)+".")
		}
		known = append(known, field)
	}
	slices.Sort(known)
	return malformedField(within+name, "unknown_field", "There is no such field here.",
		"Leave it out. The fields are "+strings.Join(known, ", ")+".")
}

func wrongType(name string, err error) error {
	var told *problem.Error
	if errors.As(err, &told) {
		return told
	}
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return malformedField(name, "wrong_type", "The value cannot be read.", "See the description of this field in the API's openapi.yaml.")
	}
	got, _, _ := strings.Cut(mismatch.Value, " ") // "number 12.5" would reveal the value
	return malformedField(name, "wrong_type", "The value is of the type "+got+".", "Send "+jsonType(mismatch.Type)+".")
}

// jsonType names the JSON type that decodes into t. Types with unmarshalling methods are texts.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false, without quotes"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map:
		return "an object"
	case reflect.Struct:
		if isStruct(t) {
			return "an object"
		}
	case reflect.Pointer:
		return jsonType(t.Elem())
	}
	return "a string"
}

func malformedField(name, code, message, fix string) *problem.Error {
	field := shorten(name)
	e := malformed("Field %s: %s %s", quote(name), message, fix)
	e.Fields = []problem.Field{{Field: field, Code: code, Message: message, Fix: fix}}
	return e
}

func malformed(format string, args ...any) *problem.Error {
	return problem.New(problem.MalformedBody, format, args...)
}

// maxEcho limits how much of a name from a client an error repeats, in bytes.
const maxEcho = 40

func shorten(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	return strings.ToValidUTF8(s[:maxEcho], "") + "…"
}

// quote puts a name from a client between single quotes. It drops characters that could break a
// line or change the direction of the text.
func quote(s string) string {
	return "'" + strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, shorten(s)) + "'"
}
