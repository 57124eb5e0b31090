// Package problem defines the errors outside the token endpoint: RFC 9457 problem details with
// one code per kind of failure, and one table from code to HTTP status and title.
//
// What a caller may learn about a failure is in an [*Error]. Any other error is answered as
// "internal", with only its correlation id.
package problem
