package azfunc_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"fhirlink/shared/azfunc"
)

func TestDecodeTimer(t *testing.T) {
	tests := []struct {
		file string
		want azfunc.Timer
	}{
		{"timer.json", azfunc.Timer{Function: "secret-expiry"}},
		{"timer-never-run.json", azfunc.Timer{Function: "secret-expiry"}},
		{"timer-no-status.json", azfunc.Timer{Function: "secret-expiry"}},
		{"timer-past-due.json", azfunc.Timer{Function: "secret-expiry", PastDue: true}},
		{"timer-retry.json", azfunc.Timer{Function: "secret-expiry", Retry: 1}},
		{"timer-double-encoded.json", azfunc.Timer{Function: "secret-expiry", PastDue: true, Retry: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			body, err := os.ReadFile("testdata/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := azfunc.DecodeTimer(strings.NewReader(string(body)), "timer")
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestDecodeTimerIsLenient(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"Data":null,"Metadata":null}`, `{"Data":{"timer":null}}`, `{"Data":{"timer":[]},"Metadata":{"sys":5,"RetryContext":"x"}}`,
		`{"Data":{"other":{"IsPastDue":true}}}`, `{"Data":{"timer":{"IsPastDue":"true"}}}`,
	} {
		if got, err := azfunc.DecodeTimer(strings.NewReader(body), "timer"); err != nil || got != (azfunc.Timer{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestDecodeTimerRefuses(t *testing.T) {
	for _, body := range []string{``, `[]`, `"x"`, `{"Data":`, `{"Data":5}`, `{"Data":{"a":"` + strings.Repeat("a", 2<<20) + `"}}`} {
		if got, err := azfunc.DecodeTimer(strings.NewReader(body), "timer"); err == nil {
			t.Errorf("%.40s: %+v", body, got)
		}
	}
}

func TestResponseIsNeverNullOrEmpty(t *testing.T) {
	tests := []struct {
		response azfunc.Response
		want     string
	}{
		{azfunc.Response{}, `{"Outputs":{},"Logs":[],"ReturnValue":null}`},
		{azfunc.Response{Logs: []string{"a"}}, `{"Outputs":{},"Logs":["a"],"ReturnValue":null}`},
		{azfunc.Response{Outputs: map[string]any{"x": 1}, ReturnValue: "r"}, `{"Outputs":{"x":1},"Logs":[],"ReturnValue":"r"}`},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		if err := tt.response.Write(w); err != nil {
			t.Fatal(err)
		}
		if w.Code != 200 || w.Body.String() != tt.want+"\n" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %v %s, want %s", w.Code, w.Header(), w.Body, tt.want)
		}
	}
	if err := (azfunc.Response{ReturnValue: func() {}}).Write(httptest.NewRecorder()); err == nil {
		t.Error("an answer that JSON cannot hold is no error")
	}
}

func FuzzDecodeTimer(f *testing.F) {
	f.Add(`{"Data":{"timer":{"IsPastDue":true}},"Metadata":{"sys":"{\"MethodName\":\"secret-expiry\"}"}}`)
	f.Add(`{"Data":{"timer":"\"\""}}`)
	f.Fuzz(func(t *testing.T, body string) {
		if _, err := azfunc.DecodeTimer(strings.NewReader(body), "timer"); err == nil && !json.Valid([]byte(firstValue(body))) {
			t.Errorf("accepted %q", body)
		}
	})
}

// firstValue returns the JSON value at the start of body.
func firstValue(body string) string {
	var raw json.RawMessage
	if json.NewDecoder(strings.NewReader(body)).Decode(&raw) != nil {
		return ""
	}
	return string(raw)
}
