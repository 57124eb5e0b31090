// Package webhooktest holds what tests of webhook endpoints need: the conformance suite that
// every driver of [webhook.Store] passes ([Run]), and a driver in memory whose network can
// fail ([Store]).
package webhooktest
