package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"fhirlink/shared/store/aztable/tabletest"
)

// table returns the connection string of an empty table service: an account of Azurite when it
// runs (make azurite-test), otherwise a stand-in. The accounts count down, because
// functions/cmd/comparehosts counts up at the same time.
func table(t *testing.T) string {
	t.Helper()
	if connection := os.Getenv("AZURITE_TABLE_CONNECTION_STRING"); connection != "" {
		n := 65 - accounts.Add(1)
		if n < 57 {
			t.Fatal(".ci/azurite has no more accounts for this package")
		}
		return strings.ReplaceAll(connection, "fhirlink;", fmt.Sprintf("fhirlink%d;", n))
	}
	return tabletest.Start(t)
}

// accounts counts the accounts of Azurite in use.
var accounts atomic.Int32
