package main

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// logError is the key of an error in the log.
const logError = "error"

// Bounds of the HTTP listener. Bodies have bounds of their own where they are read.
const (
	headerTimeout   = 10 * time.Second
	exchangeTimeout = 60 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 32 << 10
)

func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           securityHeaders(handler),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       exchangeTimeout,
		WriteTimeout:      exchangeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// securityHeaders are right for every answer of this listener: nothing of it is to be framed, sniffed or embedded.
func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// registerHealth mounts what an operator's probes ask for, and an index for whoever opens the address in a browser.
func (p *Program) registerHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := p.ready(r.Context()); err != nil {
			p.log.WarnContext(r.Context(), "not ready", logError, err)
			writeText(w, http.StatusServiceUnavailable, "not ready: see the server's log\n")
			return
		}
		writeText(w, http.StatusOK, "ready\n")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, p.index()) })
}

func (p *Program) index() string {
	return strings.Join([]string{
		"Boomgate " + version(), "",
		"  POST /oauth/token                               a token for a device or a service",
		"  GET  /.well-known/oauth-authorization-server    where everything is (RFC 8414)",
		"  GET  /.well-known/jwks.json                     the keys that verify the tokens",
		"  GET  /openapi.json, /docs                       the operators' API under /v1",
		"  GET  /mqtt                                      MQTT over WebSocket",
		"  GET  /healthz, /readyz                          probes", "",
		"  MQTT " + strings.Join(p.BrokerURLs(), ", "), "",
	}, "\n")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
