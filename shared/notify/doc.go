// Package notify defines the events about links, their texts, and the interface between the
// ledger of notifications and the channels that deliver them.
//
// An [Event] is one thing that happened to one link. Its ID is the same on every attempt and at
// every receiver, so that a receiver can use it to detect duplicates.
//
// A [Channel] delivers events one by one to the [Target]s of an organization. Each target is a
// separate delivery with its own retries. One call of Deliver is one attempt. Its [Result] says
// what to do next: nothing, try again ([Result.Next]), or give up this delivery. [Channels]
// combines several channels into one.
//
// A [Mailer] sends one [Digest] per organization and day. Mail has no ids that receivers compare.
// After a crash a digest may arrive twice, and its text says so.
//
// The ledger therefore works as follows. For each event it asks for the targets and writes one
// entry for each target. In each run it delivers what is due, and writes down each result before
// the next delivery.
package notify
