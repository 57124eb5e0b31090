// Package credential represents what an application uses to authenticate to Microsoft Entra: a
// [ClientSecret] (RFC 6749 §2.3.1) or a [Certificate] whose key signs an assertion (RFC 7523
// §2.2). A [Credential] is exactly one of them, so a switch over its types is complete.
//
// A federated credential will be another type. It has nothing to keep in the store of secrets.
//
// A link's row states the [Kind] of its credential, and the store of secrets holds the text.
// [Read] combines the two. The kind is never guessed from the text, except for rows that were
// written before rows stated it.
package credential
