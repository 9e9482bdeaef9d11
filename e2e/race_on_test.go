//go:build race

package e2e_test

// raceEnabled says that the program under test is built with the race detector, too.
const raceEnabled = true
