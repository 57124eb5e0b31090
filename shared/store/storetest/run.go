package storetest

import (
	"testing"

	"fhirlink/shared/link"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/notify/webhook/webhooktest"
	"fhirlink/shared/store"
	"fhirlink/shared/store/celltest"
	"fhirlink/shared/store/rowtest"
)

// Store combines the contracts of all owners, which a driver implements over one database.
type Store interface {
	link.Stores
	store.Cells
	Endpoints() webhook.Store
	KeyedRows() store.Rows
}

// Run tests a driver against every contract. open returns an empty store; Run calls it once for
// each subtest.
func Run[S Store](t *testing.T, open func(*testing.T) S) {
	t.Run("links", func(t *testing.T) { linktest.Run(t, func(t *testing.T) link.Stores { return open(t) }) })
	t.Run("cells", func(t *testing.T) { celltest.Run(t, func(t *testing.T) store.Cells { return open(t) }) })
	t.Run("rows", func(t *testing.T) { rowtest.Run(t, func(t *testing.T) store.Rows { return open(t).KeyedRows() }) })
	t.Run("endpoints", func(t *testing.T) {
		webhooktest.Run(t, func(t *testing.T) webhook.Store { return open(t).Endpoints() })
	})
}
