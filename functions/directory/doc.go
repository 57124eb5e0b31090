// Package directory serves GET /api/directory/{slug}, the part of a link that other
// organizations can see.
//
// It answers 200 with the slug and description of an active link that its owner listed, and 404
// link_not_found otherwise, whatever the reason.
package directory
