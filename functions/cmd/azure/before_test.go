package main

import (
	"testing"

	"fhirlink/functions/cmd/internal/beforetest"
)

// TestBefore runs the functions over a table and a vault that an earlier version wrote.
func TestBefore(t *testing.T) {
	table := beforetest.OpenTable(t)
	beforetest.Check(t, beforetest.Answers(t, "table-answers.json"), table.Open)
	beforetest.CheckSecrets(t, table.Vault.Store.Names())
}
