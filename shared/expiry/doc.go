// Package expiry is the timer's work: once a minute it looks at the links that are due, and
// at no others. It tells people that secrets end, verifies again what waits or failed, and
// finishes what a crash left. The same [Sweep] runs under the Azure timer, the AWS schedule and
// cmd/local.
//
// A run may fire twice, late, never, or while another one is under way: what is due is written
// on the links' rows, every change compares the row, and each link that is done leaves the
// index. So the index is the checkpoint: a run that ends early has lost nothing, and the next
// one goes on where it was. A lease keeps two runs from doing the same work; nothing but the
// work depends on it.
package expiry
