// Package clientcred requests access tokens from Microsoft Entra by client credentials (RFC
// 6749 §4.4) through azidentity. It remembers where a tenant's token endpoint is, but no token:
// callers keep their own cache.
package clientcred
