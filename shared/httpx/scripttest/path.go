package scripttest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// find follows a path such as report.checks[id=token].errors[0].field or id_token(claims).iss; "." is the
// root.
func find(v any, path string) (any, bool) {
	for path != "" && path != "." {
		var ok bool
		if rest, index := strings.CutPrefix(path, "["); index {
			var selector string
			if selector, path, ok = strings.Cut(rest, "]"); !ok {
				return nil, false
			}
			v, ok = element(v, selector)
		} else if rest, token := strings.CutPrefix(path, "("); token {
			var part string
			if part, path, ok = strings.Cut(rest, ")"); !ok {
				return nil, false
			}
			v, ok = partOf(v, part)
		} else {
			name := strings.TrimPrefix(path, ".")
			path = ""
			if i := strings.IndexAny(name, ".[("); i >= 0 {
				name, path = name[:i], name[i:]
			}
			v, ok = member(v, name)
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

func member(v any, name string) (any, bool) {
	object, _ := v.(map[string]any)
	value, ok := object[name]
	return value, ok
}

// element returns the element with the given index, or the first one whose member has the given
// text.
func element(v any, selector string) (any, bool) {
	array, _ := v.([]any)
	name, text, keyed := strings.Cut(selector, "=")
	if !keyed {
		i, err := strconv.Atoi(selector)
		if err != nil || i < 0 || i >= len(array) {
			return nil, false
		}
		return array[i], true
	}
	for _, candidate := range array {
		if value, ok := member(candidate, name); ok && value == any(text) {
			return candidate, true
		}
	}
	return nil, false
}

// partOf decodes the header or the claims of a JSON Web Token (RFC 7519 §3).
func partOf(v any, name string) (any, bool) {
	text, _ := v.(string)
	parts := strings.Split(text, ".")
	i, known := map[string]int{"header": 0, "claims": 1}[name]
	if len(parts) != 3 || !known {
		return nil, false
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		return nil, false
	}
	decoded, err := decode(data)
	return decoded, err == nil
}

// decode keeps numbers as they are written.
func decode(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error() // cannot occur: v was decoded from JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}
