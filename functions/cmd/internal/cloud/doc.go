// Package cloud assembles the functions over Azure Key Vault, Azure Table Storage and Microsoft
// Entra, for the programs that run in a cloud. Each program supplies its own identity.
package cloud
