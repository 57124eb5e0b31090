// Package egress is the one HTTP client for addresses that callers name.
//
// Which address a name means is known only when it is dialled, so that is where the guard
// stands: after DNS, for every connection, on the very address that connect(2) gets. It lets
// through public addresses on port 443, and what the operator excepts. The client uses no
// proxy, because a proxy would hide the address, and follows no redirect.
package egress
