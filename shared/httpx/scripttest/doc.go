// Package scripttest is a test kit that runs plain-text scripts of HTTP requests and checks the
// answers. One corpus of scripts holds every program to the same contract, and can be read
// without knowing Go.
//
//	# Lines that begin with # are for the reader.
//
//	-- a healthy server is linked --
//	POST /api/register
//	As: manager
//	Content-Type: application/json
//
//	{"slug":"clinic-a","fhirServerUrl":"{{clinic}}"}
//
//	=> 201
//	header Location == /api/links/clinic-a
//	json status == "active"
//	json report.checks[id=token].code ~ ^ok$
//	keep tag header ETag
//
//	-- [sign-in] a link cannot be read without a token --
//	GET /api/links/clinic-a
//
//	=> 401
//
// An exchange begins with its name between dashes. A word in brackets before the name is a
// condition: the exchange is skipped where it does not hold ([!word]: where it holds). The
// request follows as it is sent: a line with method and target, headers, an empty line, the body.
// It ends at the line with the expected status. Each further line is a check (see [Check]) or
// keeps a value for later. A check may have a condition, too.
//
// {{name}} is replaced with a variable, {{today}}, {{today+30}} and {{today-1}} with UTC dates,
// {{70000*x}} with a text repeated 70000 times, and {{jwk RS384}} and {{jwk ES384}} with the public keys of
// the apps that the scripts play.
//
// Some headers are instructions and are not sent. As adds the headers of a caller that the
// [Runner] knows. Times: 20 sends the request twenty times, with {{n}} from 1 to 20, and checks
// the last answer. Tries: 400 sends it up to 400 times, and stops at the first answer with the
// expected status. While: the vault is down establishes that state through the [Runner] until the
// answer arrives. Transfer-Encoding: chunked sends the body without a length. Basic: user:password
// authenticates. Assertion: RS384 app https://server/token, with a jti behind it if that matters, adds a
// client assertion of the app to the form. Browser: pat sends the cookies that this browser has of the server, and keeps those that
// the answer sets.
//
// A target may also be a variable that holds an address, such as that of a redirect. It is sent to the
// server that the [Runner] knows by it, and to no other:
//
//	-- to where the browser is sent --
//	GET {{address}}
//	Browser: pat
//
//	=> 302
//	keep code header Location ~ [?&]code=([^&]+)
package scripttest
