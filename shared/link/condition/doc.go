// Package condition is what verifications have found of a link, and when the timer looks at it
// again. It is pure: a [Condition] and an outcome give the next Condition.
//
//	           verified                              token works, no FHIR role
//	Active <─────────────── any ───────────────> PendingAccess ── 14 days ──> Broken
//	   │                                              (after 1, 3, 5, 10, 20 and 30 minutes, then hourly)
//	   └── 3 transient failures in a row ──> Degraded (every hour)
//	any ── a setting is wrong, or the secret has expired ──> Broken (once a day)
//
// A [Problem] says why a link is not Active, and since when the same check has failed with the same
// code. It outlives a change of the link's health: a link that waited in vain is Broken because of
// what it waited for.
//
// A transient failure says nothing about a link that waits or is broken: those stay as they are.
package condition
