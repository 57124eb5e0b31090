// Package upstream watches the calls to the services that fhirlink needs. It notes each call on
// the work that made it (package eventlog), and remembers for health checks whether a service was
// reachable.
package upstream
