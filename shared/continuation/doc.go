// Package continuation is how a listing goes on where its last page ended. A continuation names
// the last item of that page, and carries a sum over the list that it belongs to: the
// continuation of one list is no use for another. It grants nothing. A made-up one lists what its
// caller may see anyway, from another place on.
package continuation
