package httpx_test

import (
	"errors"
	"net/url"
	"reflect"
	"testing"

	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

func TestParseQuery(t *testing.T) {
	got, err := httpx.ParseQuery("a=b%20c+d&a=%25&e")
	if want := (url.Values{"a": {"b c d", "%"}, "e": {""}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := httpx.ParseQuery("scope=a;b&c"); err != nil || got.Get("scope") != "a;b" || len(got) != 2 {
		t.Errorf("a bare semicolon: %v, %v", got, err)
	}
	for _, raw := range []string{"limit=%zz", "%", "a=%4", "code=%zz&limit=5"} {
		_, err := httpx.ParseQuery(raw)
		var told *problem.Error
		if !errors.As(err, &told) || told.Code != problem.InvalidFields || len(told.Fields) != 1 || told.Fields[0].Field != "query" || told.Fields[0].Code != "malformed_query" {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
