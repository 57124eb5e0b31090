// Package secretexpiry serves the timer function secret-expiry: the Azure Functions host POSTs
// its invocation to /secret-expiry. Two checks keep strangers from running it. Only the host's
// own calls are let through (azfunc.CalledByHost), and a run within 30 s of the start of the
// last one does nothing. The answer holds no counts; they are in the log.
//
// Every run handles the links that are due (package expiry) and ends within 50 s, because a run
// that exceeds the host's timeout takes the whole process with it. It always answers 200,
// because the host discards the logs of any other answer. Failures are in the answer's logs and
// on stdout.
package secretexpiry
