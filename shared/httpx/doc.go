// Package httpx holds the HTTP parts that all routes share: strict decoders of JSON and of
// queries, a JSON writer, and the middleware around the routes. The middleware comprises
// correlation id, what hosts rely on (an answer after a panic, ASCII headers), access log, body
// limit, the draining of bodies that are too large, CORS and rate limit.
package httpx
