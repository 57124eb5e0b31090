// Package keyfile keeps a signing key in a file, for cmd/local: an RSA key of 2048 bits as PEM, readable
// by its owner only. It has one version.
package keyfile
