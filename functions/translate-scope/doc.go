// Package translatescope is the endpoint
//
//	GET  /api/translate-scope?scope=…&direction=…&dialect=…&separator=…&resource=…
//	POST /api/translate-scope
//
// which spells SMART on FHIR scopes in a form that Microsoft Entra can hold, reads them back,
// converts them between such forms, and makes what has to be registered in Entra. It needs no
// sign-in and asks no other server: the work is that of package smart, whose documentation is
// the manual.
//
// A scope is decoded from the query once, percent and plus, by the rules of HTML forms; the body
// of a POST is JSON. What is answered 200 comes back exactly as it was when it is translated the
// other way; otherwise the answer is 422 untranslatable_scope, and its results say which scopes
// cannot be carried and why.
package translatescope
