// Package register serves POST /api/register: it links a FHIR server. The body is a
// [intake.Registration]; the link is verified, then stored.
//
// 201 with Location, ETag, the link, its notes and its report. 422 invalid_fields,
// verification_failed; 409 slug_taken, too_many_links; 503 upstream_unavailable.
package register
