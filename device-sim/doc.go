// Package devicesim plays the sensors of a parking lot as outside clients: each has a credential, fetches a token of its own at
// the token endpoint (OAuth 2.0 client credentials, RFC 6749 §4.4) and keeps an MQTT 3.1.1 connection of its own, with the token
// as its password.
//
// What happens on the lot is the business of package parking. This package makes messages of it (device.go, payload.go), gets
// them through the gate (sensor.go, link.go, tokens.go), and does so for a thousand sensors in one process (fleet.go, gate.go).
//
// It knows the public contracts of Boomgate only, topics, payloads and OAuth, and nothing of the server's packages: what works
// here works for a device that somebody else has built.
package devicesim
