// Package handle keeps what lies between two requests of an app: rows that live for minutes, each found
// by a name that only its holder knows, and the refresh tokens that name grants. A copy of the table opens
// nothing, nor does the table with the sealing keys, without the handle.
package handle
