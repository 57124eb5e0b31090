// Package register serves POST /api/register, which links a FHIR server. The body is an
// [intake.Registration]; the link is verified first, then stored.
//
// It answers 201 with Location, ETag, the link, its notes and its report. Otherwise it answers
// 422 invalid_fields or verification_failed, 409 slug_taken or too_many_links, or 503
// upstream_unavailable.
package register
