package continuation

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
)

// itemSyntax keeps what is made up out of the stores' queries.
var itemSyntax = paste.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// After is the continuation of a list after an item: up to 128 letters, digits and . _ ~ -.
func After(list, item string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(item + "." + sum(list, item)))
}

// Parse returns the item that a continuation of the list names; empty for an empty one.
// Errors: InvalidFields.
func Parse(list, continuation string) (item string, err error) {
	if continuation == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(continuation)
	dot := max(0, strings.LastIndexByte(string(text), '.'))
	item, tag := string(text[:dot]), strings.TrimPrefix(string(text[dot:]), ".")
	if err != nil || !itemSyntax.MatchString(item) || tag != sum(list, item) {
		return "", problem.Invalid(problem.Field{
			Field: "continue", Code: "continue_unknown",
			Message: "This continuation did not come from an answer to your organization.",
			Fix:     "Send the value of continue from the last answer unchanged, or leave it out to start over.",
		})
	}
	return item, nil
}

func sum(list, item string) string {
	sum := sha256.Sum256([]byte("continue\n" + list + "\n" + item))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
