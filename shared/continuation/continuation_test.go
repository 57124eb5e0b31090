package continuation_test

import (
	"encoding/base64"
	"testing"

	"fhirlink/shared/continuation"
	"fhirlink/shared/problem"
)

func TestContinuation(t *testing.T) {
	for _, item := range []string{"good-health-clinic", "9223370251234567890-abc"} {
		if got, err := continuation.Parse("list", continuation.After("list", item)); err != nil || got != item {
			t.Errorf("%q comes back as %q, %v", item, got, err)
		}
	}
	if got, err := continuation.Parse("list", ""); err != nil || got != "" {
		t.Errorf("the first page: %q, %v", got, err)
	}
	for name, text := range map[string]string{
		"of another list": continuation.After("other", "clinic"), "not base64": "!", "no sum": base64.RawURLEncoding.EncodeToString([]byte("clinic")),
		"a made-up sum": base64.RawURLEncoding.EncodeToString([]byte("clinic.x")),
		"a quote":       continuation.After("list", "a'or'1"), "nothing": continuation.After("list", ""),
	} {
		if got, err := continuation.Parse("list", text); problem.CodeOf(err) != problem.InvalidFields {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
