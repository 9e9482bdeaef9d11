package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Config is everything that can be set about a server. Each field is a key of
// the YAML file and, but for issuers, a flag (data_dir is --data-dir) and a variable
// (BOOMGATE_DATA_DIR); the later of file, variable and flag wins. configs/boomgate.yaml is the commented reference.
type Config struct {
	DataDir string `koanf:"data_dir" usage:"folder of the registry, the MQTT sessions and root.json"`

	HTTP      string `koanf:"http" usage:"address of the token endpoint, the fleet API and MQTT over WebSocket"`
	HTTPTLS   bool   `koanf:"http_tls" usage:"serve HTTPS there, with tls_cert and tls_key"`
	MQTT      string `koanf:"mqtt" usage:"address for MQTT over TCP; empty turns it off"`
	MQTTS     string `koanf:"mqtts" usage:"address for MQTT over TLS, usually :8883; empty turns it off"`
	TLSCert   string `koanf:"tls_cert" usage:"PEM file with the certificate chain; reloaded when it changes"`
	TLSKey    string `koanf:"tls_key" usage:"PEM file with the private key of tls_cert"`
	ClientCA  string `koanf:"tls_client_ca" usage:"PEM file with the authorities whose certificates authenticate clients (tls_client_auth)"`
	Insecure  bool   `koanf:"insecure" usage:"allow listening without TLS on more than loopback: secrets and tokens can be read on the way"`
	PublicURL string `koanf:"public_url" usage:"URL under which clients reach the HTTP listener; the tokens' issuer"`
	BrokerURL string `koanf:"broker_url" usage:"URL under which clients reach the broker, as told to new devices"`

	TokenTTL time.Duration `koanf:"token_ttl" usage:"life of an access token whose client sets none"`
	Leeway   time.Duration `koanf:"leeway" usage:"difference of clocks that is forgiven; sessions end between expiry and expiry plus leeway"`
	OnDenied string        `koanf:"on_denied" usage:"what a denied publish does where MQTT has no answer for it: drop or rfc9431"`

	Issuers []IssuerConfig `koanf:"issuers" usage:"other issuers whose tokens let clients in"`

	MaxConnections      int           `koanf:"max_connections" usage:"MQTT connections at once"`
	MaxConnectionsPerIP int           `koanf:"max_connections_per_ip" usage:"MQTT connections at once from one address"`
	MaxFailuresPerIP    int           `koanf:"max_failures_per_ip" usage:"connections that may be refused in a minute for want of a valid token, from one address; the next ones are slowed down"`
	MaxPacketSize       int           `koanf:"max_packet_size" usage:"largest MQTT packet, in bytes"`
	MaxSubscriptions    int           `koanf:"max_subscriptions" usage:"subscriptions of one MQTT session"`
	MaxSessionExpiry    time.Duration `koanf:"max_session_expiry" usage:"how long a session without a connection is kept"`
	MaxQueueBytes       int           `koanf:"max_queue_bytes" usage:"bytes of messages that may wait for one MQTT session"`
	ConnectTimeout      time.Duration `koanf:"connect_timeout" usage:"time from the first byte to a complete, accepted CONNECT"`
	WriteTimeout        time.Duration `koanf:"write_timeout" usage:"time for one write to a client that does not read"`
	ShutdownTimeout     time.Duration `koanf:"shutdown_timeout" usage:"time for an orderly stop"`
	WebSocketOrigins    []string      `koanf:"websocket_origins" usage:"origins of other sites whose pages may open MQTT over WebSocket, such as https://app.example"`

	ClientSessions          int `koanf:"client_max_sessions" usage:"sessions at once of a client whose roles set no limit; 0 for any number"`
	ClientConnectsPerMinute int `koanf:"client_max_connects_per_minute" usage:"connections a minute of a client whose roles set no limit; 0 for any number"`
	ClientMessagesPerSecond int `koanf:"client_max_messages_per_second" usage:"messages a second that a client may publish whose roles set no limit; 0 for any number"`
	ClientBytesPerSecond    int `koanf:"client_max_bytes_per_second" usage:"bytes a second that a client may publish whose roles set no limit; 0 for any number"`
	ClientRetained          int `koanf:"client_max_retained" usage:"retained messages of a client whose roles set no limit; 0 for any number"`
	ClientPayloadBytes      int `koanf:"client_max_payload_bytes" usage:"largest payload that a client may publish whose roles set no limit, in bytes; 0 for max_packet_size"`

	LogLevel  string `koanf:"log_level" usage:"debug, info, warn or error"`
	LogFormat string `koanf:"log_format" usage:"text or json"`
}

// defaultConfig is what configs/boomgate.yaml shows; a test holds the two equal.
func defaultConfig() Config {
	return Config{
		DataDir:             "boomgate-data",
		HTTP:                "127.0.0.1:8080",
		MQTT:                "127.0.0.1:1883",
		TokenTTL:            time.Hour,
		Leeway:              10 * time.Second,
		OnDenied:            "drop",
		MaxConnections:      200_000,
		MaxConnectionsPerIP: 20_000,
		MaxFailuresPerIP:    60,
		MaxPacketSize:       256 << 10,
		MaxSubscriptions:    1000,
		MaxQueueBytes:       8 << 20,
		MaxSessionExpiry:    7 * 24 * time.Hour,
		ConnectTimeout:      10 * time.Second,
		WriteTimeout:        10 * time.Second,
		ShutdownTimeout:     20 * time.Second,
		WebSocketOrigins:    []string{},
		Issuers:             []IssuerConfig{},

		ClientSessions:          1000,
		ClientConnectsPerMinute: 1200,
		ClientMessagesPerSecond: 5000,
		ClientBytesPerSecond:    32 << 20,
		ClientRetained:          100_000,

		LogLevel:  "info",
		LogFormat: "text",
	}
}

// clientVariables are BOOMGATE_ variables that are not settings of the server.
var clientVariables = []string{"BOOMGATE_URL", "BOOMGATE_CREDENTIAL", "BOOMGATE_REQUIRE_TOOLS"}

const envPrefix = "BOOMGATE_"

// addConfigFlags defines --config and one flag for every key.
func addConfigFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "YAML file with these settings (see configs/boomgate.yaml)")
	for field, value := range reflect.ValueOf(defaultConfig()).Fields() {
		name, usage := flagName(field.Tag.Get("koanf")), field.Tag.Get("usage")
		switch v := value.Interface().(type) {
		case string:
			flags.String(name, v, usage)
		case bool:
			flags.Bool(name, v, usage)
		case int:
			flags.Int(name, v, usage)
		case time.Duration:
			flags.Duration(name, v, usage)
		case []string:
			flags.StringSlice(name, v, usage)
		}
	}
}

func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

// loadConfig merges defaults, file, environment and flags, and names every fault at once.
func loadConfig(flags *pflag.FlagSet, environ []string) (Config, error) {
	k := koanf.New(".")
	var faults []error
	if file, err := flags.GetString("config"); err == nil && file != "" {
		faults = append(faults, loadConfigFile(k, file)...)
	}
	faults = append(faults, loadConfigEnv(k, environ)...)
	changed := pflag.NewFlagSet("changed", pflag.ContinueOnError)
	flags.Visit(func(f *pflag.Flag) {
		if slices.Contains(configKeys(), configKey(f.Name)) {
			changed.AddFlag(f)
		}
	})
	byKey := func(f *pflag.Flag) (string, any) { return configKey(f.Name), posflag.FlagVal(changed, f) }
	if err := k.Load(posflag.ProviderWithFlag(changed, ".", nil, byKey), nil); err != nil {
		faults = append(faults, err)
	}

	cfg := defaultConfig()
	if err := k.UnmarshalWithConf("", &cfg, koanf.UnmarshalConf{}); err != nil {
		faults = append(faults, splitDecodeError(err)...)
	} else {
		faults = append(faults, cfg.faults()...)
	}
	return cfg, joinFaults(faults)
}

func configKey(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

func configKeys() []string {
	var keys []string
	for field := range reflect.TypeFor[Config]().Fields() {
		keys = append(keys, field.Tag.Get("koanf"))
	}
	return keys
}

func loadConfigFile(k *koanf.Koanf, file string) []error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return []error{fmt.Errorf("--config %s: no such file", file)}
	} else if err != nil {
		return []error{fmt.Errorf("--config: %w", err)}
	}
	if err := k.Load(rawbytes.Provider(text), yaml.Parser()); err != nil {
		return []error{fmt.Errorf("%s is not valid YAML: %w", file, err)}
	}
	faults := unknownIssuerKeys(k, file)
	for _, key := range k.Keys() {
		if !slices.Contains(configKeys(), key) {
			faults = append(faults, fmt.Errorf("%s: unknown key %q%s", file, key, suggest(key)))
			k.Delete(key)
		}
	}
	return faults
}

func loadConfigEnv(k *koanf.Koanf, environ []string) []error {
	var faults []error
	values := map[string]any{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(clientVariables, name) {
			continue
		}
		key := strings.ToLower(strings.TrimPrefix(name, envPrefix))
		if !slices.Contains(configKeys(), key) {
			faults = append(faults, fmt.Errorf("unknown variable %s%s", name, suggest(key)))
			continue
		}
		if key == keyIssuers {
			faults = append(faults, fmt.Errorf("%s: issuers can be set in the file alone (--config)", name))
			continue
		}
		values[key] = value
	}
	if err := k.Load(confmap.Provider(values, ""), nil); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// suggest finds the key that was probably meant: one that holds the same letters' beginning.
func suggest(key string) string {
	plain := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key))
	for _, known := range configKeys() {
		p := strings.ReplaceAll(known, "_", "")
		if p == plain || strings.HasPrefix(p, plain) || strings.HasPrefix(plain, p) {
			return fmt.Sprintf(" (did you mean %q?)", known)
		}
	}
	return ""
}

// splitDecodeError turns the decoder's list of bad values into one error each.
func splitDecodeError(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// joinFaults makes one message of all faults, a line each.
func joinFaults(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("the configuration has %d fault(s), nothing was started:\n%w", len(faults), indent(faults))
}

func indent(faults []error) error {
	lines := make([]error, len(faults))
	for i, f := range faults {
		lines[i] = fmt.Errorf("  - %w", f)
	}
	return errors.Join(lines...)
}
