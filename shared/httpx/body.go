package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"fhirlink/shared/problem"
)

// ReadBody reads the body, at most MaxBody bytes. An empty body is an error.
func ReadBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, tooLarge()
	}
	data, err := readAll(io.LimitReader(r.Body, MaxBody+1), r.ContentLength)
	switch {
	case err != nil:
		return nil, readError(err)
	case len(data) > MaxBody:
		return nil, tooLarge()
	case len(data) == 0:
		return nil, malformed("The body is empty. Send what this path needs in it, with a Content-Length.")
	}
	return data, nil
}

// readAll is io.ReadAll with room for the announced length, and for the byte that shows the end.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(max(announced, 0)) + bytes.MinRead)
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

func readError(err error) *problem.Error {
	var limit *http.MaxBytesError // of LimitBody
	if errors.As(err, &limit) {
		return tooLarge()
	}
	return malformed("The body ended before all of it had arrived. Send it again.")
}

func tooLarge() *problem.Error {
	return problem.New(problem.BodyTooLarge, "The body is larger than %d KiB. Send a smaller one.", MaxBody>>10)
}

// MediaType returns the media type of the request's only Content-Type, in lower case. It returns
// "" if the header is missing, repeated or unreadable, if it names a charset other than UTF-8, or
// if the body has a Content-Encoding.
func MediaType(h http.Header) string {
	values := h["Content-Type"]
	if len(values) != 1 || !identity(h["Content-Encoding"]) {
		return ""
	}
	mediaType, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return ""
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return mediaType
}

func identity(encodings []string) bool {
	return len(encodings) == 0 || len(encodings) == 1 && (encodings[0] == "" || strings.EqualFold(encodings[0], "identity"))
}

// requireJSON takes JSON Merge Patch (RFC 7396) besides for PATCH, which is what ours are.
func requireJSON(r *http.Request) error {
	mediaType := MediaType(r.Header)
	if mediaType == "application/json" || r.Method == http.MethodPatch && mediaType == "application/merge-patch+json" {
		return nil
	}
	return problem.New(problem.UnsupportedMediaType,
		"Send the body as UTF-8 JSON with the header Content-Type: application/json, and without a Content-Encoding.")
}

// parseObject checks the whole body before any part of it is decoded.
func parseObject(data []byte) (Object, error) {
	if at := notUTF8(data); at >= 0 {
		return Object{}, malformed("The body is not UTF-8 at %s. Send it as JSON in UTF-8.", position(data, at))
	}
	if err := checkSyntax(data); err != nil {
		return Object{}, err
	}
	if at := loneSurrogate(data); at >= 0 {
		return Object{}, malformed("The escape at %s (backslash, u, four digits) is half of a surrogate pair and so no character. Send the character itself, in UTF-8.",
			position(data, at))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := uniqueNames(dec, true); err != nil {
		return Object{}, err
	}
	return members(data)
}

// uniqueNames walks one value and refuses an object with a repeated name. In the outermost
// object, names that differ only in case count as repeated. Names in nested objects may be data,
// such as scopes, and must match exactly.
func uniqueNames(dec *json.Decoder, outermost bool) error {
	token, err := dec.Token()
	if err != nil {
		return errInvalidJSON
	}
	delim, compound := token.(json.Delim)
	if !compound {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			if err := name(dec, seen, outermost); err != nil {
				return err
			}
		}
		if err := uniqueNames(dec, false); err != nil {
			return err
		}
	}
	if _, err = dec.Token(); err != nil { // the closing delimiter
		return errInvalidJSON
	}
	return nil
}

func name(dec *json.Decoder, seen map[string]bool, fold bool) error {
	token, err := dec.Token()
	if err != nil {
		return errInvalidJSON
	}
	text, _ := token.(string)
	key := text
	if fold {
		key = strings.ToLower(strings.ToUpper(text)) // as encoding/json folds: K and the Kelvin sign are equal
	}
	if seen[key] {
		return malformedField(text, "duplicate_field", "The field stands twice in the body.", "Send it once.")
	}
	seen[key] = true
	return nil
}

// errInvalidJSON cannot occur: checkSyntax has accepted the body.
var errInvalidJSON = malformed("The body is not valid JSON.")

// members splits an object into its members, which parseObject has found to be unique.
func members(data []byte) (Object, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil { // the opening brace
		return Object{}, errInvalidJSON
	}
	o := Object{members: map[string]json.RawMessage{}}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return Object{}, errInvalidJSON
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return Object{}, errInvalidJSON
		}
		text, _ := token.(string)
		o.names = append(o.names, text)
		o.members[text] = raw
	}
	return o, nil
}

// notUTF8 returns the index of the first byte that is not UTF-8, or -1.
func notUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
}

// loneSurrogate returns the index of the first \u escape in valid JSON that is a surrogate
// without its pair, or -1. encoding/json would silently replace it with U+FFFD.
func loneSurrogate(data []byte) int {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		escape := i
		i++ // the escaped character; an escaped backslash is skipped whole
		switch {
		case data[i] != 'u', data[i+1]|0x20 != 'd', data[i+2] < '8':
		case data[i+2]|0x20 >= 'c', !lowSurrogate(data[i+5:]):
			return escape
		default:
			i += 10 // the pair: uD8xx\uDCxx
		}
	}
	return -1
}

func lowSurrogate(data []byte) bool {
	return len(data) >= 4 && data[0] == '\\' && data[1] == 'u' && data[2]|0x20 == 'd' && data[3]|0x20 >= 'c'
}
