// Package infra holds tests of the templates, the documents and the scripts in this folder. They
// hold the templates to what the program needs and to what was decided.
//
// The golden files in testdata list what a deployment consists of. `go test ./infra -update`
// rewrites them; a change in them is a change of what runs in Azure.
package infra
