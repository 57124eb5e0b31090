// Package entra validates the access tokens of our callers, and describes the answers of
// Microsoft Entra ID: client credentials, tokens, and refusals (AADSTS numbers) with a fix.
//
// It imports no SDK. Package clientcred is the driver over azidentity, package entratest the
// fake authority for tests and the sandbox.
package entra
