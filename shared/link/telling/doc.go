// Package telling is how people are told about a link: what there is to say, in which words, to
// whom, when, and how often it is tried. The rows of links keep the state; package link writes
// them.
//
// A [Notice] is recorded in the row's [Outbox], in the same write as what it is about. It stays
// there until every receiver has acknowledged it: it is neither lost nor recorded twice. Each run
// of the timer takes three steps:
//
//	claim        one write: what is due by now, to whom, and that this run sends it
//	send         the channel or the mail server is called; nothing is written
//	acknowledge  one write: what became of each attempt
//
// A crash before the claim leaves everything as it was. After it, the claim lapses and another
// run makes the delivery again, under the same ID. A receiver that remembers IDs therefore holds
// each notice once.
package telling
