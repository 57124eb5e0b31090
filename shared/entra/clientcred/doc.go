// Package clientcred requests access tokens from Microsoft Entra by client credentials (RFC
// 6749 §4.4) through azidentity. It caches nothing; callers keep their own cache.
package clientcred
