// Package page makes the pages of authorization servers: errors that are shown to the user, because it is not
// known that an app may be told of them. They need no script, show nothing of the request, and cannot be
// framed.
package page
