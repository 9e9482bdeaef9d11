package broker

import (
	"log/slog"
	"math"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

const (
	readBuffer  = 1 << 10
	sysInterval = 60 // seconds between the messages under $SYS; each stops the world for a moment
)

// newServer makes the mochi server with limits in place of its defaults, most of which are endless.
func newServer(l Limits, log *slog.Logger) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClients = math.MaxInt64   // the gate counts, before mochi has allocated anything
	caps.MaximumMessageExpiryInterval = 0 // a message without an expiry has none, above all a retained one
	caps.MaximumClientWritesPending = l.MaxQueued
	caps.MaximumSessionExpiryInterval = uint32(l.MaxSessionExpiry / time.Second)
	caps.MaximumPacketSize = l.MaxPacketSize
	caps.ReceiveMaximum = l.ReceiveMaximum
	caps.MaximumInflight = l.MaxInflight
	caps.TopicAliasMaximum = maxAliases
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	server := mqtt.New(&mqtt.Options{
		Capabilities:             caps,
		ClientNetWriteBufferSize: 1, // conn buffers; mochi's buffer holds acknowledgements back
		ClientNetReadBufferSize:  readBuffer,
		Logger:                   slog.New(quiet{log.Handler()}),
		SysTopicResendInterval:   sysInterval,
		InlineClient:             true,
	})
	server.Clients.Delete(mqtt.InlineClientId) // or a client could take it over by calling itself so
	return server
}
