// Package config reads the programs' settings from the environment: the FHIRLINK_… variables of
// infra/settings.md. It checks all of them at once, so that one failed start reports every
// mistake. Messages name the variable and never contain its value: a connection string is a key.
package config
