// Package tokens hands out access tokens for links.
package tokens
