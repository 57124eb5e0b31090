// Package problem is the vocabulary of errors outside the token endpoint: RFC 9457 problem
// details, one code per kind of failure, one table from code to HTTP status and title.
//
// Everything that a caller may be told travels as an [*Error]; any other error is answered
// as "internal" with nothing but its correlation id.
package problem
