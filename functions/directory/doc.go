// Package directory serves GET /api/directory/{slug}: seed 1's "URL that other users of the
// application will see when they want to send you data".
//
// 200 with slug and description of an active link whose owner listed it; otherwise 404
// link_not_found, whatever the reason.
package directory
