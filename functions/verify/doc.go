// Package verify serves POST /api/verify. {"slug":"…"} verifies a stored link and updates
// its status; the body of register rehearses a registration and stores nothing.
//
// 200 with a [verification.Report], whatever it finds; 404 link_not_found.
package verify
