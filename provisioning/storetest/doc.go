// Package storetest holds the tests and benchmarks that every
// [provisioning.Store] must pass, and a store in memory that is simple enough to
// be believed: the reference of the tests, and a store for the tests of others.
//
// It knows no database; a store's own package calls [Run], [RunReopen] and
// [Benchmark] with a function that opens one.
package storetest
