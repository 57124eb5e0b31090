// Package signertest holds the conformance suite for every driver of [signer.Versions] ([Run]).
package signertest
