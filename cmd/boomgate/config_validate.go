package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// faults checks every value and tells what to do about each bad one.
func (c Config) faults() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if c.DataDir == "" {
		add("data_dir is empty: name a folder for the registry")
	}
	if c.MQTT == "" && c.MQTTS == "" {
		add("mqtt and mqtts are both empty: devices could not connect; set one")
	}
	faults = append(faults, c.addressFaults()...)
	faults = append(faults, c.tlsFaults()...)
	faults = append(faults, c.urlFaults()...)
	faults = append(faults, c.rangeFaults()...)
	faults = append(faults, c.issuerFaults()...)
	if !slices.Contains([]string{"drop", "rfc9431"}, c.OnDenied) {
		add("on_denied is %q: use drop or rfc9431", c.OnDenied)
	}
	if _, err := c.logLevel(); err != nil {
		add("log_level is %q: use debug, info, warn or error", c.LogLevel)
	}
	if !slices.Contains([]string{"text", "json"}, c.LogFormat) {
		add("log_format is %q: use text or json", c.LogFormat)
	}
	return faults
}

func (c Config) logLevel() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(c.LogLevel))
	return level, err
}

// addressFaults holds the rule of secure defaults: loopback or TLS, or --insecure said aloud.
func (c Config) addressFaults() []error {
	var faults []error
	for _, l := range []struct {
		key, addr string
		tls       bool
	}{{"http", c.HTTP, c.HTTPTLS}, {"mqtt", c.MQTT, false}, {"mqtts", c.MQTTS, true}} {
		if l.addr == "" && l.key != "http" {
			continue
		}
		host, _, err := net.SplitHostPort(l.addr)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s is %q: use host:port, such as 127.0.0.1:8080", l.key, l.addr))
		case !l.tls && !isLoopback(host) && !c.Insecure:
			faults = append(faults, fmt.Errorf("%s is %q, which others can reach, without TLS: %s; or say insecure: true (--insecure)", l.key, l.addr, tlsHint(l.key)))
		}
	}
	return faults
}

func tlsHint(key string) string {
	if key == "http" {
		return "set http_tls, tls_cert and tls_key, or listen on 127.0.0.1"
	}
	return "use mqtts with tls_cert and tls_key, or listen on 127.0.0.1"
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (c Config) tlsFaults() []error {
	var faults []error
	if (c.TLSCert == "") != (c.TLSKey == "") {
		faults = append(faults, fmt.Errorf("tls_cert and tls_key go together: set both"))
	}
	if c.TLSCert == "" && c.MQTTS != "" {
		faults = append(faults, fmt.Errorf("mqtts needs tls_cert and tls_key"))
	}
	if c.TLSCert == "" && c.HTTPTLS {
		faults = append(faults, fmt.Errorf("http_tls needs tls_cert and tls_key"))
	}
	if c.ClientCA != "" && !c.HTTPTLS {
		faults = append(faults, fmt.Errorf("tls_client_ca needs http_tls: clients show their certificates at the token endpoint"))
	}
	for key, file := range map[string]string{"tls_cert": c.TLSCert, "tls_key": c.TLSKey, "tls_client_ca": c.ClientCA} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
	}
	return faults
}

func (c Config) urlFaults() []error {
	var faults []error
	if host, _, err := net.SplitHostPort(c.HTTP); err == nil && c.PublicURL == "" && isUnspecified(host) {
		faults = append(faults, fmt.Errorf("http is %q, so public_url is needed: the URL under which clients reach it, such as https://gate.example", c.HTTP))
	}
	if c.PublicURL != "" && !validURL(c.PublicURL, "http", "https") {
		faults = append(faults, fmt.Errorf("public_url is %q: use http(s)://host[:port] without path, query or a slash at the end", c.PublicURL))
	}
	if c.BrokerURL != "" && !validURL(c.BrokerURL, "mqtt", "mqtts", "ws", "wss") {
		faults = append(faults, fmt.Errorf("broker_url is %q: use mqtt(s)://host:port", c.BrokerURL))
	}
	for _, origin := range c.WebSocketOrigins {
		if !validURL(origin, "http", "https") {
			faults = append(faults, fmt.Errorf("websocket_origins holds %q: use https://host[:port]", origin))
		}
	}
	return faults
}

func isUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func validURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Host != "" && u.User == nil &&
		strings.TrimPrefix(text, u.Scheme+"://") == u.Host
}

func (c Config) rangeFaults() []error {
	var faults []error
	for _, r := range []struct {
		key       string
		v, lo, hi time.Duration
	}{
		{"token_ttl", c.TokenTTL, time.Minute, 24 * time.Hour},
		{"leeway", c.Leeway, 0, time.Minute},
		{"max_session_expiry", c.MaxSessionExpiry, 0, 365 * 24 * time.Hour},
		{"connect_timeout", c.ConnectTimeout, 100 * time.Millisecond, time.Minute},
		{"write_timeout", c.WriteTimeout, 100 * time.Millisecond, time.Minute},
		{"shutdown_timeout", c.ShutdownTimeout, time.Second, 10 * time.Minute},
	} {
		if r.v < r.lo || r.v > r.hi {
			faults = append(faults, fmt.Errorf("%s is %v: use %v to %v", r.key, r.v, r.lo, r.hi))
		}
	}
	for _, r := range []struct {
		key       string
		v, lo, hi int
	}{
		{"max_connections", c.MaxConnections, 1, 10_000_000},
		{"max_connections_per_ip", c.MaxConnectionsPerIP, 1, 10_000_000},
		{"max_failures_per_ip", c.MaxFailuresPerIP, 1, 10_000_000},
		{"max_packet_size", c.MaxPacketSize, 1 << 10, 64 << 20},
		{"max_subscriptions", c.MaxSubscriptions, 1, 1_000_000},
		{"max_queue_bytes", c.MaxQueueBytes, 64 << 10, 1 << 30},
		{"client_max_sessions", c.ClientSessions, 0, 10_000_000},
		{"client_max_connects_per_minute", c.ClientConnectsPerMinute, 0, 10_000_000},
		{"client_max_messages_per_second", c.ClientMessagesPerSecond, 0, 10_000_000},
		{"client_max_bytes_per_second", c.ClientBytesPerSecond, 0, 1 << 40},
		{"client_max_retained", c.ClientRetained, 0, 10_000_000},
		{"client_max_payload_bytes", c.ClientPayloadBytes, 0, 64 << 20},
	} {
		if r.v < r.lo || r.v > r.hi {
			faults = append(faults, fmt.Errorf("%s is %d: use %d to %d", r.key, r.v, r.lo, r.hi))
		}
	}
	return faults
}
