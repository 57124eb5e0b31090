// Package httpx is what every route needs of HTTP: a strict JSON decoder, a JSON writer,
// and the middleware around the routes (correlation id, recover, access log, body limit,
// CORS, rate limit).
package httpx
