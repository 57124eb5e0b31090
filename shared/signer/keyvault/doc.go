// Package keyvault signs with a key of Azure Key Vault, whose private half never leaves the vault
// (https://learn.microsoft.com/azure/key-vault/keys/about-keys).
package keyvault
