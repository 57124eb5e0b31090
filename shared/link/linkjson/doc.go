// Package linkjson is how the API writes links: the one JSON form that register, links and
// the web front ends share. The client secret has no place in it.
package linkjson
