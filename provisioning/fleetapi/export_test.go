package fleetapi

// What the tests look at from inside.
var (
	Unmarshal = unmarshal
	Merge     = merge
)

// Bounds of what is kept for repetitions.
const (
	ReplayBytes   = replayBytes
	ReplayCallers = replayCallers
)
