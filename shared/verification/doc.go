// Package verification checks whether a FHIR server can be used with a set of client
// credentials: the ordered checks of a link, each with a code, a message and a fix.
package verification
