// Package link registers, changes, deletes and looks after links: FHIR servers of organizations,
// with what is needed to get a token for each. Every operation is an order of writes that survives
// a crash at any instant.
//
// # Phases
//
// A link is one row. Only a Live row is visible through any route.
//
//	insert ──> Reserved ──────────> Live ──> Deleting ──> Tombstone ──> removed, after 90 days or never
//	              │  registration                            │
//	              │  fails                                   │ its organization
//	              v                                          │ registers again
//	          Abandoned ──> removed, or Tombstone again      └──────> Reserved
//
// # Order of writes
//
// The row's commit is the commit of the whole operation: the row names the exact version of the
// secret. Any write may be the last one of its process.
//
//	Register     insert the row as Reserved │ enroll it in the roster │ put the secret │
//	             update the row to Live │ put the report
//	Patch        update the row, with a marker if the date changed │ update the secret's date │
//	             remove the marker
//	SetSecret    set the marker │ put the secret │ commit its version │ disable the versions that
//	             cannot stand in for it │ remove the marker │ put the report
//	Delete       update the row to Deleting │ delete the secret │ remove the report │
//	             update it to Tombstone │ withdraw it from the roster
//	Verify       update the row │ put the report │ update the secret's date, if the directory named
//	             another
//	tell         claim deliveries on the row │ send │ acknowledge on the row
//
// Every update also puts an event on the row, which then moves to the trail. Tend, the timer's
// work on one link, finishes or removes what is half-done and older than [Grace], the secret
// before the row.
//
// # Verbs that end something
//
//	abandon    a reservation: Reserved becomes Abandoned, and Discard names its secret
//	finish     what a request or a crash left: an abandoned reservation, a deletion, a change
//	withdraw   the row's entry in the roster; the opposite of enroll
//	discard    delete the secrets that Discard names
//	disable    disable versions of a secret in the store of secrets
//
// # Caches
//
// This package has none: every operation reads the row. Package tokens has the caches, and is told
// of every write (see OnWrite).
//
// # Rooms
//
//	intake      what people typed, checked            condition   what verifications found; schedule
//	telling     notices: words, receivers, sending    ending      when a credential ends
//	tokens      access tokens, caches, fall-back      trail       who did what, and how long that is kept
//	lastreport  the report of the last verification   linkjson    links as the API shows them
//	linktest    the stores in memory, and the conformance suite of every store
package link
