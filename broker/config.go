package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"
)

// Config says where the broker listens and what it keeps.
type Config struct {
	// TCP and TLS are listen addresses (host:port); an empty one is off.
	TCP, TLS string
	// CertFile and KeyFile are PEM files for the TLS listener and TLSConfig. They are
	// read again when they change; a bad pair is reported and the old one kept.
	CertFile, KeyFile string
	// DataDir is the folder of retained messages and sessions, the broker's
	// own. Empty: nothing outlives the process.
	DataDir string
	// Limits bounds what clients may use. The zero value means the defaults.
	Limits Limits
	// Origins are the origins (scheme://host[:port]) whose pages may open
	// MQTT over WebSocket, beside pages of the serving host itself.
	Origins []string
	// Logger is required.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// faults reports everything that is wrong with the configuration at once.
func (c Config) faults() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, a := range []struct{ name, addr string }{{"TCP", c.TCP}, {"TLS", c.TLS}} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			add("%s address %q: want host:port", a.name, a.addr)
		}
	}
	if c.TLS != "" && (c.CertFile == "" || c.KeyFile == "") {
		add("TLS address %q: a certificate file and a key file are needed, too", c.TLS)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		add("a certificate file and a key file go together")
	}
	for _, origin := range c.Origins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			add("origin %q: want scheme://host[:port]", origin)
		}
	}
	if c.Logger == nil {
		add("a logger is needed")
	}
	faults = append(faults, c.Limits.faults()...)
	return errors.Join(faults...)
}
