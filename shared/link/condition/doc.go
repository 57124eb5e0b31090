// Package condition is what verifications have found of a link, and when the timer looks at it
// again. It is pure: a [Condition] and an outcome give the next Condition.
//
//	           verified                              token works, no FHIR role
//	Active <─────────────── any ───────────────> PendingAccess ── 30 minutes ──> Broken
//	   │                                              (6 tries: 1, 3, 5, 10, 20, 30 minutes)
//	   └── 3 transient failures in a row ──> Degraded (every hour)
//	any ── a setting is wrong, or the secret has expired ──> Broken (once a day)
//
// A transient failure says nothing about a link that waits or is broken: those stay as they are.
package condition
