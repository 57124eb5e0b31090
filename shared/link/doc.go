// Package link is the domain: what a link is, how it is registered, changed and deleted in
// an order that survives a crash at any instant, and how tokens are handed out for it.
package link
