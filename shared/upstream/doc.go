// Package upstream watches the calls to the services that fhirlink needs: each call is noted on
// the work that it is made for (package eventlog), and whether a service was in reach is
// remembered for those who ask about the program's health.
package upstream
