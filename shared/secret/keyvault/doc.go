// Package keyvault keeps client secrets in one or more Azure Key Vaults: one secret per link, one
// version per client secret. The program's identity needs the role Key Vault Secrets Officer on
// each vault.
package keyvault
