// Package caller is who calls the API and what they may do. It is the one place for both, however
// a caller proves who it is: today by an Entra access token in the Authorization header.
//
// An [Authenticator] names the [Caller] of a request. A route states the [Right] that it needs,
// and the route list lets only callers through who hold it. Everything behind the routes finds
// the caller in the context ([From], [Organization]).
package caller
