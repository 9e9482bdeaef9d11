package broker

import (
	"fmt"
	"time"
)

// Limits bounds what clients may use, before and after they are known. A zero
// field means its default.
type Limits struct {
	// MaxConnections bounds all sockets together (default 100,000). A socket
	// costs about 30 KB and a file descriptor.
	MaxConnections int
	// MaxConnectionsPerIP bounds the sockets of one address (default 20,000:
	// a whole site of devices may share one behind its router).
	MaxConnectionsPerIP int
	// MaxPending bounds the sockets whose CONNECT is not answered yet (default
	// 2,048). At the bound, new ones wait and the oldest give way to them.
	MaxPending int
	// ConnectTimeout is how long a socket may take from its acceptance,
	// over TLS and CONNECT, to the answer (default 10 s).
	ConnectTimeout time.Duration
	// WriteTimeout bounds one write to a client that does not read (default 10 s).
	WriteTimeout time.Duration
	// KickTimeout bounds the farewell to a client that is being closed (default 500 ms).
	KickTimeout time.Duration
	// ShutdownTimeout bounds the orderly stop (default 10 s).
	ShutdownTimeout time.Duration
	// MaxPacketSize bounds a packet, in bytes (default 256 KiB).
	MaxPacketSize uint32
	// MaxConnectSize bounds a CONNECT packet, in bytes (default 80 KiB): memory
	// that anybody can claim before being known.
	MaxConnectSize uint32
	// MaxQueued bounds the QoS 0 messages that wait for a connected client's
	// socket (default 1,024); beyond it they are dropped.
	MaxQueued int32
	// MaxQueueBytes bounds the contents of all messages that wait for one
	// session, for its socket, for their acknowledgement or for its return
	// (default 8 MiB); beyond it they are dropped. One message alone may be larger.
	MaxQueueBytes int64
	// MaxInflight bounds the QoS 1 and 2 messages that a session holds
	// unacknowledged or queued while it is offline (default 4,096).
	MaxInflight uint16
	// ReceiveMaximum is how many QoS 1 and 2 messages a client may send
	// without waiting for their acknowledgement (default 256).
	ReceiveMaximum uint16
	// MaxSessionExpiry bounds how long a session outlives its connection, in
	// whole seconds (default 7 days). 3.1.1 sessions always live that long.
	MaxSessionExpiry time.Duration
	// CertificateCheck is the least time between two looks at the certificate
	// files (default 10 s).
	CertificateCheck time.Duration
}

// withDefaults fills the zero fields.
func (l Limits) withDefaults() Limits {
	fill(&l.MaxConnections, 100_000)
	fill(&l.MaxConnectionsPerIP, 20_000)
	fill(&l.MaxPending, 2_048)
	fill(&l.ConnectTimeout, 10*time.Second)
	fill(&l.WriteTimeout, 10*time.Second)
	fill(&l.KickTimeout, 500*time.Millisecond)
	fill(&l.ShutdownTimeout, 10*time.Second)
	fill(&l.MaxPacketSize, 256<<10)
	fill(&l.MaxConnectSize, 80<<10)
	fill(&l.MaxQueued, 1_024)
	fill(&l.MaxQueueBytes, 8<<20)
	fill(&l.MaxInflight, 4_096)
	fill(&l.ReceiveMaximum, 256)
	fill(&l.MaxSessionExpiry, 7*24*time.Hour)
	fill(&l.CertificateCheck, 10*time.Second)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// faults names every limit that makes no sense.
func (l Limits) faults() []error {
	var faults []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ConnectTimeout", l.ConnectTimeout},
		{"WriteTimeout", l.WriteTimeout},
		{"KickTimeout", l.KickTimeout},
		{"ShutdownTimeout", l.ShutdownTimeout},
		{"MaxSessionExpiry", l.MaxSessionExpiry},
		{"CertificateCheck", l.CertificateCheck},
	} {
		if d.value < 0 {
			faults = append(faults, fmt.Errorf("limit %s is %v: it may not be negative", d.name, d.value))
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"MaxConnections", l.MaxConnections},
		{"MaxConnectionsPerIP", l.MaxConnectionsPerIP},
		{"MaxPending", l.MaxPending},
		{"MaxQueued", int(l.MaxQueued)},
		{"MaxQueueBytes", int(l.MaxQueueBytes)},
	} {
		if n.value < 0 {
			faults = append(faults, fmt.Errorf("limit %s is %d: it may not be negative", n.name, n.value))
		}
	}
	if d := l.MaxSessionExpiry; d > 0 && (d < time.Second || d > time.Duration(1<<32-1)*time.Second) {
		faults = append(faults, fmt.Errorf("limit MaxSessionExpiry is %v: want 1 s to 136 years", d))
	}
	return faults
}
