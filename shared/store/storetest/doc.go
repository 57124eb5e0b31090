// Package storetest holds a driver of the database to the contracts of all records that it
// keeps. Each owner's own suite says what its contract is; [Run] calls them all.
package storetest
