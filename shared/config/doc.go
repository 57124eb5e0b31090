// Package config reads the settings of the programs from the environment: each FHIRLINK_…
// variable of infra/settings.md, checked all at once, so that one failed start tells every
// mistake. Messages name the variable and never hold its value: a connection string is a key.
package config
