// Package guidance says what a link's FHIR server needs, so that it takes the access tokens of the link's
// SMART apps, and what will not work there (contract-smart.md §9). It only makes texts.
//
// All of it was read in the servers' source code and documentation, and none was run against a server. The
// texts say so, because operators rely on them.
package guidance
