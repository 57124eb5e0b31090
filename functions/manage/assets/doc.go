// Package assets holds the style sheet and the icon of the pages. Each file is served under the hash of its content, so
// that browsers may keep it for ever.
package assets
