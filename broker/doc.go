// Package broker is the embedded MQTT server: sockets, limits, sessions that
// outlive a connection or a restart, and an orderly stop. It carries messages
// for MQTT 3.1.1 and 5 over TCP, TLS and WebSocket.
//
// The protocol itself is mochi-mqtt's, used as published. Its known faults are
// contained here, from outside: in the listener and the connection wrapper
// (deadlines, caps, panics), and in hooks (flow control, redelivery, takeover,
// persistence). Comments name the fault where a line is there because of it.
//
// The package knows no client record, token or grant. It refuses to run until
// exactly one hook that authenticates and authorizes has been attached.
package broker
