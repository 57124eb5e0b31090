package main

import (
	"os"
	"testing"

	"fhirlink/shared/store/aztable/tabletest"
)

// table is the connection string of a table service: Azurite's when it runs (make
// azurite-test), else that of a stand-in.
func table(t *testing.T) string {
	t.Helper()
	if connection := os.Getenv("AZURITE_TABLE_CONNECTION_STRING"); connection != "" {
		return connection
	}
	return tabletest.Start(t)
}
