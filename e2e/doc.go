// Package e2e tests the wired program from outside: the built binary, started
// as a user would start it, with real clients over TCP, TLS, HTTP and WebSocket.
// It knows addresses, files and command lines, and nothing of the program's inside.
package e2e
