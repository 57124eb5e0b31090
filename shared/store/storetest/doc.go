// Package storetest tests a driver of the database against the contracts of all its records. Each
// owner's suite defines its contract; [Run] calls all the suites.
package storetest
