// Package entratest is a Microsoft Entra authority as an [http.Handler]: tenants, applications, secrets,
// token endpoint, signing keys, and the codes and refresh tokens of users whom package browser signs in.
// On the wire it behaves like the real one, for tests and for the sandbox of cmd/local. It imports
// neither testing nor an SDK.
package entratest
