// Package expiry does the work of the timer. Once a minute it works on the links that are due,
// and on no others: it sends notices that secrets expire, repeats verifications that are pending
// or have failed, and finishes what a crash left incomplete. The same [Sweep] runs under the
// Azure timer, the AWS schedule and cmd/local.
//
// A run may start twice, late, never, or during another run. That is safe for three reasons: the
// links' rows say what is due, every write compares the row, and each completed link leaves the
// index. So the index is the checkpoint. A run that ends early loses nothing, and the next run
// continues where it stopped. A lease keeps two runs from doing the same work; only efficiency
// depends on it.
package expiry
