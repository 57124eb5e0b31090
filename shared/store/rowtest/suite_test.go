package rowtest

import (
	"testing"

	"fhirlink/shared/store"
)

func TestRows(t *testing.T) {
	Run(t, func(*testing.T) store.Rows { return New() })
}
