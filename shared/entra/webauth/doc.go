// Package webauth redeems the codes and refresh tokens of users who have signed in at an application
// of the platform Web (RFC 6749 §4.1.3, §6), at Microsoft Entra's token endpoint. It authenticates the
// application with its client secret, or with an assertion that the key of its certificate signs.
package webauth
