package broker

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a key pair in two files that may change while the broker runs.
// A pair that cannot be loaded is reported once and the old one stays.
type certificate struct {
	certFile, keyFile string
	every             time.Duration // least time between two looks at the files
	now               func() time.Time
	log               *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	state  [2]fileState // of the files as last tried
	looked time.Time
}

// fileState tells whether a file is another than before.
type fileState struct {
	modified time.Time
	size     int64
}

// loadCertificate reads the pair for the first time; here a bad one is an error.
func loadCertificate(cfg Config, every time.Duration) (*certificate, error) {
	c := &certificate{certFile: cfg.CertFile, keyFile: cfg.KeyFile, every: every, now: cfg.Now, log: cfg.Logger}
	state, err := c.stat()
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair, c.state, c.looked = &pair, state, c.now()
	return c, nil
}

// config is the TLS configuration of a listener with this certificate. Clients
// are asked for a certificate of theirs and need none: who wants one checks it.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(), nil
		},
	}
}

// current is the pair to use now, after a look at the files if it is time for one.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= c.every {
		c.looked = now
		c.reloadLocked()
	}
	return c.pair
}

func (c *certificate) reloadLocked() {
	state, err := c.stat()
	if err == nil {
		if state == c.state {
			return
		}
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.pair, c.state = &pair, state
			c.log.Info("the TLS certificate was reloaded", keyFile, c.certFile)
			return
		}
	} else if c.state == ([2]fileState{}) {
		return // reported already
	}
	c.state = state
	c.log.Error("the new TLS certificate cannot be used; the old one stays", keyFile, c.certFile, keyError, err)
}

// stat is the state of both files; the zero state with an error if one is missing.
func (c *certificate) stat() (state [2]fileState, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return [2]fileState{}, err
		}
		state[i] = fileState{info.ModTime(), info.Size()}
	}
	return state, nil
}
