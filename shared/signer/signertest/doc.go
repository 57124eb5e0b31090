// Package signertest holds the conformance suite for every driver of [signer.Versions] ([Run]), and a key
// in memory ([Key]).
package signertest
