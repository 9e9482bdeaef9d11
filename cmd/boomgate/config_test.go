package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// parseConfig loads a configuration as serve does.
func parseConfig(t *testing.T, yaml string, environ []string, args ...string) (Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "boomgate.yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, environ)
}

func TestTheSampleConfigurationShowsEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/boomgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := parseConfig(t, string(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := defaultConfig(); !reflect.DeepEqual(cfg, want) {
		t.Errorf("configs/boomgate.yaml differs from the defaults:\n%+v\n%+v", cfg, want)
	}
	for _, key := range configKeys() {
		if !strings.Contains(string(text), "\n"+key+":") {
			t.Errorf("configs/boomgate.yaml does not show %s", key)
		}
	}
}

func TestFlagsWinOverVariablesAndVariablesOverTheFile(t *testing.T) {
	t.Parallel()
	cfg, err := parseConfig(t, "token_ttl: 5m\nleeway: 5s\nmqtt: 127.0.0.1:1\nwebsocket_origins: [https://a.example]\n",
		[]string{"BOOMGATE_LEEWAY=6s", "BOOMGATE_MQTT=127.0.0.1:2", "PATH=/bin", "BOOMGATE_URL=http://elsewhere"},
		"--mqtt", "127.0.0.1:3")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.TokenTTL != 5*time.Minute || cfg.Leeway != 6*time.Second || cfg.MQTT != "127.0.0.1:3" || !slices.Equal(cfg.WebSocketOrigins, []string{"https://a.example"}) {
		t.Errorf("got %+v", cfg)
	}
}

func TestEveryFaultOfAConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		yaml    string
		environ []string
		args    []string
		want    []string
	}{
		"unknown keys":           {"htpp: x\nlogs:\n  level: debug\n", []string{"BOOMGATE_MQQT=1"}, nil, []string{`"htpp"`, `"logs.level"`, "BOOMGATE_MQQT"}},
		"a key that is near":     {"tokenttl: 5m\n", nil, nil, []string{`did you mean "token_ttl"`}},
		"values of a wrong kind": {"token_ttl: soon\nmax_connections: many\n", nil, nil, []string{"token_ttl", "max_connections"}},
		"values out of bounds": {
			"token_ttl: 48h\nleeway: -1s\nmax_packet_size: 1\non_denied: maybe\nlog_level: loud\nlog_format: xml\n", nil, nil,
			[]string{"token_ttl", "leeway", "max_packet_size", "on_denied", "log_level", "log_format"},
		},
		"nothing to connect to":     {"mqtt: \"\"\ndata_dir: \"\"\n", nil, nil, []string{"mqtt and mqtts", "data_dir"}},
		"open to the world":         {"", nil, []string{"--http", ":8080", "--mqtt", "0.0.0.0:1883"}, []string{"http is", "mqtt is", "--insecure", "public_url"}},
		"TLS without a certificate": {"mqtts: :8883\nhttp_tls: true\ntls_cert: /nowhere.pem\n", nil, nil, []string{"go together", "/nowhere.pem"}},
		"addresses that are none":   {"http: here\npublic_url: https://gate.example/path\nbroker_url: gate\nwebsocket_origins: [gate]\n", nil, nil, []string{"http is", "public_url", "broker_url", "websocket_origins"}},
		"a file that is not there":  {"", nil, []string{"--config", "/nowhere.yaml"}, []string{"/nowhere.yaml", "no such file"}},
		"a file that is no YAML":    {"a: [", nil, nil, []string{"not valid YAML"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseConfig(t, test.yaml, test.environ, test.args...)
			if err == nil {
				t.Fatal("the configuration was accepted")
			}
			for _, text := range test.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not name %q:\n%v", text, err)
				}
			}
		})
	}
}

func TestListeningToTheWorldNeedsTLSOrTheWord(t *testing.T) {
	t.Parallel()
	cfg, err := parseConfig(t, "", nil, "--http", ":8080", "--mqtt", "0.0.0.0:1883", "--insecure", "--public-url", "http://gate.example:8080")
	if err != nil || !cfg.Insecure {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
