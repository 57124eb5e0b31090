// Package verify serves POST /api/verify. {"slug":"…"} verifies a stored link and updates its
// status. The body of register rehearses a registration and stores nothing.
//
// It answers 200 with a [verification.Report], whatever it finds, or 404 link_not_found.
package verify
