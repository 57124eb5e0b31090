// Package functions is the API: the list of its routes with the policy of each, and the handlers
// that the programs serve. Each endpoint has a package of its own in a folder below this one;
// examples/ holds programs that call the API.
package functions
