// Package parking is a seeded model of a parking lot and of the sensors in it.
//
// It says when cars come and go, what each sensor notices of that, and what goes wrong with the sensors, as one ordered
// stream of events in virtual time. Its numbers come from measured garages (calibration.go).
//
// It has no clock, no network and no goroutine: the same Config gives the same events, on every machine and with every
// version of Go. What a sensor does with what it notices (messages, sequence numbers, connections) is not its business.
package parking
