// Package scripttest runs plain-text scripts of HTTP requests and what their answers must be,
// so that one corpus holds every program to the same contract and can be read without Go.
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
//	-- [sign-in] nobody may look at it without a token --
//	GET /api/links/clinic-a
//
//	=> 401
//
// An exchange begins with its name between dashes. A word in brackets before the name is a
// condition: the exchange is left out where it does not hold ([!word]: where it holds). The
// request follows as it is sent: a line with method and target, headers, an empty line, the
// body; its end is the line with the status that is wanted. After that every line is a check
// (see [Check]) or keeps a value for later. A check may have a condition, too.
//
// {{name}} stands for a variable, {{today}}, {{today+30}} and {{today-1}} for UTC dates,
// {{70000*x}} for a text 70000 times. The header As is not sent: it puts the headers in of a
// caller that the [Runner] knows. Nor is Times: 20, which sends the request twenty times, with
// {{n}} for 1 to 20; the checks are about the last answer. Tries: 400 stops at the first answer
// with the status that is wanted. While: the vault is down makes that so, as the [Runner] knows
// how, until the answer is there. Transfer-Encoding: chunked sends the body without a length.
package scripttest
