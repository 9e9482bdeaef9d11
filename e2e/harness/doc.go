// Package harness starts the built program for tests from outside and speaks to it: command line, HTTP, real MQTT clients, and
// packets written by hand.
package harness
