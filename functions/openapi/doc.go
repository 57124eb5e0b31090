// Package openapi serves GET /api/openapi.yaml: the description of the whole API in OpenAPI 3.1.
// The tests check every answer against it.
package openapi
