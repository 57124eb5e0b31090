package date_test

import (
	"encoding/json"
	"testing"
	"time"

	"fhirlink/shared/date"
)

// TestInstant: every time has one form, whatever its zone and its fraction.
func TestInstant(t *testing.T) {
	for in, want := range map[time.Time]string{
		time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC):                               "2026-11-23T12:00:00.000Z",
		time.Date(2026, 11, 23, 12, 0, 0, 999_999_999, time.FixedZone("", -5*60*60)): "2026-11-23T17:00:00.999Z",
		time.Date(2026, 11, 23, 12, 0, 0, 120_000_000, time.UTC):                     "2026-11-23T12:00:00.120Z",
	} {
		data, err := json.Marshal(map[string]any{"a": date.At(in), "b": date.AtOrNil(in), "c": date.AtOrNil(time.Time{})})
		if want := `{"a":"` + want + `","b":"` + want + `","c":null}`; err != nil || string(data) != want {
			t.Errorf("%v is %s, %v, want %s", in, data, err, want)
		}
	}
}
