// Package serve runs an HTTP server until its context ends.
package serve
