// Package lastreport keeps the report of the latest verification of each link, in a row of its own:
// getting a token neither reads nor writes it. A report that is too large for the row is cut in a
// way that leaves it a report ([Fit]).
package lastreport
