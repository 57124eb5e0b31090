// Package openapi serves GET /api/openapi.yaml: the description of the whole API in OpenAPI
// 3.1, which the tests hold every answer to.
package openapi
