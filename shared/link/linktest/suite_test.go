package linktest

import (
	"reflect"
	"testing"

	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/verification"
)

// TestFull fails when a field of link.Link is missing in the suite, and so in every driver's test.
func TestFull(t *testing.T) {
	notZero(t, "Link", reflect.ValueOf(full()))
	notZero(t, "Notice", reflect.ValueOf(notice()))
	notZero(t, "Report", reflect.ValueOf(lastReport().Stored()))
	notZero(t, "Event", reflect.ValueOf(event("1")))
}

func notZero(t *testing.T, path string, v reflect.Value) {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.IsZero() {
		t.Errorf("%s is zero in full()", path)
	}
	switch v.Interface().(type) {
	case link.Link, condition.Condition, condition.Problem, lastreport.Report, verification.Evidence, link.Secret, link.Change, telling.Notice, trail.Event, trail.Actor:
		for i := range v.NumField() {
			notZero(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
}
