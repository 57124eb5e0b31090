// Package webhooktest holds what tests of webhook endpoints need: the conformance suite for every
// driver of [webhook.Store] ([Run]), and a driver in memory that can simulate network faults
// ([Store]).
package webhooktest
