// Package secretexpiry serves the timer function secret-expiry: the Azure Functions host
// POSTs its invocation to /secret-expiry, a path that no public route reaches.
//
// Every run looks after the links that are due (package expiry) and ends within 50 s: a run
// that the host's time-out ends takes the whole process with it. It always answers 200,
// because the host discards the logs of any other answer; failures are in the lines and on
// stdout.
package secretexpiry
