//go:build !race

package harness

// raceEnabled says that the program under test is built with the race detector, too.
const raceEnabled = false
