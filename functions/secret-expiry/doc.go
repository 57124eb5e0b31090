// Package secretexpiry serves the timer function secret-expiry: the Azure Functions host
// POSTs its invocation to /secret-expiry. Two walls keep strangers from running it: only the
// host's own calls are let through (azfunc.CalledByHost), and a run within 30 s of the last one's
// start does nothing. The answer holds no counts; they are in the log.
//
// Every run looks after the links that are due (package expiry) and ends within 50 s: a run
// that the host's time-out ends takes the whole process with it. It always answers 200,
// because the host discards the logs of any other answer; failures are in the lines and on
// stdout.
package secretexpiry
