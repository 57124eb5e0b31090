// Package secret holds the type for client secrets and tokens, and the contract of the stores
// that keep client secrets.
//
// A [Value] cannot print itself: fmt with any verb, encoding/json and log/slog all write
// "[redacted]", even if the Value is in an unexported field of another struct. Only
// [Value.Reveal] returns the text, so a search for Reveal finds every place that handles it in
// the clear.
package secret
