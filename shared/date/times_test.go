package date_test

import (
	"testing"
	"time"

	"fhirlink/shared/date"
)

func TestStored(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	if got := date.Stored(at); got != time.Date(2026, 11, 29, 11, 0, 0, 123456000, time.UTC) {
		t.Errorf("%v", got)
	}
	if got := date.Stored(time.Time{}); got != (time.Time{}) {
		t.Errorf("zero became %v", got)
	}
}

func TestEarliest(t *testing.T) {
	var never time.Time
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	for _, tt := range [][3]time.Time{{first, second, first}, {second, first, first}, {never, second, second}, {second, never, second}, {never, never, never}, {first, first, first}} {
		if got := date.Earliest(tt[0], tt[1]); !got.Equal(tt[2]) {
			t.Errorf("of %v and %v it is %v", tt[0], tt[1], got)
		}
	}
}
