// Package egress is the one HTTP client for addresses that callers name.
//
// A name's address is known only when it is dialled. So the guard acts after DNS, for every
// connection, on the very address that connect(2) gets. It allows public addresses on port 443,
// and what the operator excepts. The client uses no proxy, because a proxy would hide the
// address, and follows no redirects.
package egress
