// Package trail is the audit trail of links: who did what to which link, when, and with what
// result. Package link decides what is entered. An event that belongs to a write of a link's row
// waits on that row ([Pending]), so that no crash keeps it out of the trail.
package trail
