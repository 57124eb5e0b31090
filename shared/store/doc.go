// Package store holds what all drivers of the database have in common: the errors of their
// operations, and [Cells] and [Rows], which belong to no kind of record.
//
// The contracts of the records stay with their owners. [fhirlink/shared/link.Stores] has links,
// their schedule, rosters, trails and reports; [fhirlink/shared/notify/webhook.Store] has webhook
// endpoints. The drivers in the packages below implement all of them: aztable over Azure Table
// Storage, bolt over one embedded file.
//
// A new kind of record needs a contract in its owner's package, a conformance suite beside that
// package, one file in each driver, and a line in storetest.
package store
