// Package resource serves the sandbox's FHIR servers to browsers, at {public URL}/sandbox/fhir/{slug}. Such
// a server has a few records of two patients, and judges access tokens as a real server of the kind that
// the link's SMART settings name does, as far as their sources and documentation tell: see [Judge].
package resource
