// Package notify says what is told about links, in which words, and through what: the
// interface between whoever keeps the ledger of notifications and the channels that carry
// them out.
//
// An [Event] is one thing that happened to one link. Its ID is the same on every attempt and
// at every receiver, so that a receiver who remembers ids holds each event once.
//
// A [Channel] delivers events one by one to the [Target]s that an organization has; each
// target is a delivery of its own, tried and retried by itself. One call of Deliver is one
// attempt, and its [Result] says what to do next: nothing, try again ([Result.Next]), or give
// this delivery up. [Channels] are several channels as one.
//
// A [Mailer] sends one [Digest] per organization and day. Mail has no ids that receivers
// would compare: after a crash a digest may arrive twice, and it says so itself.
//
// So the ledger's part is: at an event, ask for the targets and write one entry for each; at
// every run, Deliver what is due and write down the result before the next.
package notify
