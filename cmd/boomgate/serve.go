package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// newServeCommand runs the server until it is told to stop.
func newServeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the broker, the token endpoint and the fleet API",
		Long: `Run the MQTT broker, the OAuth 2.0 token endpoint and the fleet API in one process.

The first start creates the data folder, the signing key and the operator "root", whose
credential is written to <data-dir>/root.json (mode 0600). Commands on this machine find it
there by themselves. SIGINT or SIGTERM stops the server in order.

Listening on anything but loopback needs TLS, or --insecure said aloud.`,
		Example: `  # On this machine only
  boomgate serve

  # For real devices: MQTT over TLS and HTTPS
  boomgate serve --mqtt "" --mqtts :8883 --http :8443 --http-tls \
    --tls-cert cert.pem --tls-key key.pem --public-url https://gate.example:8443

  # With a file of settings
  boomgate serve --config boomgate.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags(), a.environ())
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, a.stdout, a.stderr)
		},
	}
	addConfigFlags(cmd.Flags())
	return cmd
}

// serve runs one Program and says where it can be reached.
func serve(ctx context.Context, cfg Config, stdout, stderr io.Writer) error {
	log, err := newLogger(cfg, stderr)
	if err != nil {
		return err
	}
	p, err := openProgram(ctx, cfg, log)
	if err != nil {
		return startError{err}
	}
	_, _ = fmt.Fprintf(stdout, "boomgate %s\n  http   %s\n%s  data   %s\n", version(), p.URL(), mqttLines(p), cfg.DataDir)
	if p.RootCreated() {
		_, _ = fmt.Fprintf(stdout, "  The operator \"root\" was created; its credential is in %s\n", p.RootFile())
	}
	return p.Run(ctx)
}

func mqttLines(p *Program) string {
	var lines string
	for _, url := range p.BrokerURLs() {
		lines += fmt.Sprintf("  mqtt   %s\n", url)
	}
	return lines
}

func newLogger(cfg Config, w io.Writer) (*slog.Logger, error) {
	level, err := cfg.logLevel()
	if err != nil {
		return nil, fmt.Errorf("log_level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}
