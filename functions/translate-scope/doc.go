// Package translatescope serves the endpoint
//
//	GET  /api/translate-scope?scope=…&direction=…&dialect=…&separator=…&resource=…
//	POST /api/translate-scope
//
// which writes SMART on FHIR scopes in a form that Microsoft Entra can hold, reads them back,
// converts them between such forms, and produces what has to be registered in Entra. It needs no
// sign-in and calls no other server. Package smart does the work, and its documentation is the
// manual.
//
// A scope in the query is decoded once, percent and plus, by the rules of HTML forms; the body
// of a POST is JSON. It answers 200 only when translating the answer back gives exactly the
// input. Otherwise it answers 422 untranslatable_scope, and the results say which scopes cannot
// be carried and why.
package translatescope
