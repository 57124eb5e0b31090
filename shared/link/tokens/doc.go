// Package tokens hands out access tokens for links. Most requests are answered from memory; the
// others go from the row to the secret to Entra, once for all callers that wait for the same.
//
//	row ──> credential of the version that the row names ──> token
//
// If Entra refuses a new secret, the previous one stands in for it while the row says that it may
// (see [link.KeepPrevious]).
//
// # Caches
//
//	what              under                        lifetime                           at most
//	rows              slug                         30 s; 10 min while the table is    10,000
//	                                               unavailable; ends with a write
//	secrets           everything a token depends   10 min                             10,000, with
//	                  on, see tokenKey                                                the tokens
//	tokens            the same                     until 30 s before their end;       10,000
//	                                               renewed at 80 to 95 % of it
//	refusals          the same                     30 s                               with the tokens
//	failures          the same                     5 s, or Retry-After up to 2 min    with the tokens
//	hand-outs in the  link, caller, outcome, hour  the hour; 10 s after a failure     10,000
//	trail
//
// Rows and secrets are keyed so that a change is followed by every instance within 30 s: a new
// version of a secret is another key.
package tokens
