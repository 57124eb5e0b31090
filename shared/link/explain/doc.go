// Package explain turns what goes wrong in the stores into what callers may be told of a link.
package explain
