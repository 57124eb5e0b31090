// Package store is what every driver of the database has in common: the errors of its
// operations, and [Cells], which belong to no kind of record.
//
// The contracts of the records stay with their owners: [fhirlink/shared/link.Stores] has
// links, their schedule, rosters and trails, and [fhirlink/shared/notify/webhook.Store] has
// webhook endpoints. The drivers in the packages below implement all of them: aztable over
// Azure Table Storage, bolt over one embedded file.
//
// A new kind of record takes a contract with its owner, a conformance suite beside that, one
// file in each driver, and a line in storetest.
package store
