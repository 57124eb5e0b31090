// Package httpx is what every route needs of HTTP: strict decoders of JSON and of queries, a
// JSON writer, and the middleware around the routes (correlation id, recover, access log, body
// limit, CORS, rate limit).
package httpx
