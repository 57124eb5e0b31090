// Package caller defines who calls the API and what a caller may do, regardless of how a caller
// authenticates. Today that is an Entra access token in the Authorization header.
//
// An [Authenticator] determines the [Caller] of a request. A route states the [Right] that it
// needs, and the route list lets only callers with that right through. The code behind the routes
// takes the caller from the context ([From], [Organization]).
package caller
