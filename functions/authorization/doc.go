// Package authorization serves the SMART authorization settings of a link, by which its organization
// makes it an authorization server for apps:
//
//	GET    /api/links/{slug}/smart   with the ETag, and what is to be registered in Entra
//	PUT    /api/links/{slug}/smart   replaces them all; 201 when it switches SMART authorization on
//	DELETE /api/links/{slug}/smart   switches it off: what was granted is dead
//
// PUT and DELETE need If-Match, or If-None-Match: * to switch on: 428 without, 412 when the settings are
// not as the header says. A link of another organization gets 404 link_not_found, like one that does not
// exist.
package authorization
