// Package cmd holds tests of what concerns all three programs: what they may import, what make
// stages, and how fast they are. Each program's own tests stand beside it.
package cmd
