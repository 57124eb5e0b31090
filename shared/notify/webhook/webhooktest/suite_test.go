package webhooktest

import (
	"reflect"
	"testing"

	"fhirlink/shared/notify/webhook"
)

func TestStore(t *testing.T) { Run(t, func(*testing.T) webhook.Store { return New() }) }

func TestFull(t *testing.T) {
	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is zero", v.Type().Field(i).Name)
		}
	}
}
