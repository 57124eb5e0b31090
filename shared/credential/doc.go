// Package credential is what an application shows to Microsoft Entra to prove who it is: a
// [ClientSecret] (RFC 6749 §2.3.1) or a [Certificate] whose key signs an assertion (RFC 7523
// §2.2). A [Credential] is exactly one of them; a switch over its types covers all there is.
//
// A federated credential will be a further type. It has nothing to keep in the store of secrets.
//
// A link's row states the [Kind] of its credential, and the store of secrets holds the text.
// [Read] puts both together again. The kind is never guessed from the text, except for rows that
// were stored before rows stated it.
package credential
