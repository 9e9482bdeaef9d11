package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// testConfig is a server on free ports with an own data folder.
func testConfig(tb testing.TB) Config {
	tb.Helper()
	cfg := defaultConfig()
	cfg.DataDir = filepath.Join(tb.TempDir(), "data")
	cfg.HTTP, cfg.MQTT = "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

// startProgram runs a server until the test ends.
func startProgram(tb testing.TB, cfg Config) *Program {
	tb.Helper()
	p, err := openProgram(tb.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("the program ended with %v", err)
		}
	})
	select {
	case <-p.broker.Ready():
	case <-time.After(10 * time.Second):
		tb.Fatal("the broker did not become ready")
	}
	return p
}

func get(tb testing.TB, url string) (status int, body string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestTwoProgramsLiveInOneProcess(t *testing.T) {
	t.Parallel()
	first, second := startProgram(t, testConfig(t)), startProgram(t, testConfig(t))
	if first.URL() == second.URL() || first.BrokerURL() == second.BrokerURL() {
		t.Fatalf("both are at %s and %s", first.URL(), first.BrokerURL())
	}
	for _, p := range []*Program{first, second} {
		for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/": "/oauth/token"} {
			if status, body := get(t, p.URL()+path); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("GET %s answered %d %q", path, status, body)
			}
		}
		if !p.RootCreated() {
			t.Error("the operator root was not created")
		}
	}
}

func TestRootsCredentialFollowsTheAddressesAndKeepsItsSecret(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	before := readRoot(t, runOnce(t, cfg))
	cfg.PublicURL, cfg.BrokerURL = "https://gate.example", "mqtts://gate.example:8883"
	p := runOnce(t, cfg)
	after := readRoot(t, p)
	if p.RootCreated() {
		t.Error("root was created twice")
	}
	if after.ClientSecret != before.ClientSecret || after.ClientSecret == "" {
		t.Error("the secret changed or is missing")
	}
	if after.TokenEndpoint != "https://gate.example/oauth/token" || after.MQTTURL != "mqtts://gate.example:8883" {
		t.Errorf("root.json names %s and %s", after.TokenEndpoint, after.MQTTURL)
	}
	if info, err := os.Stat(p.RootFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("root.json: %v, %v, want mode 0600", info.Mode(), err)
	}
}

func TestARemovedRootFileStaysAway(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	p := runOnce(t, cfg)
	if err := os.Remove(p.RootFile()); err != nil {
		t.Fatal(err)
	}
	runOnce(t, cfg)
	if _, err := os.Stat(p.RootFile()); !os.IsNotExist(err) {
		t.Errorf("root.json came back: %v", err)
	}
}

func TestAClockBeforeTheRegistryStopsTheStart(t *testing.T) {
	t.Parallel()
	p := startProgram(t, testConfig(t))
	if err := checkClock(t.Context(), p.store, time.Now()); err != nil {
		t.Errorf("a right clock is refused: %v", err)
	}
	err := checkClock(t.Context(), p.store, time.Now().Add(-time.Hour))
	if err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("a clock that is an hour late: %v", err)
	}
}

func TestAFailedStartLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.MQTT = startProgram(t, testConfig(t)).broker.Addr("tcp").String()
	for range 2 { // the second attempt would find a locked folder if the first had left it open
		_, err := openProgram(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "another program listens there") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestTheGateAsksTheRegistry(t *testing.T) {
	t.Parallel()
	p := startProgram(t, testConfig(t))
	device, _, err := p.service.Create(t.Context(), provisioning.NewClient{
		Kind: provisioning.KindDevice, Labels: map[string]string{"site": "north"}, Roles: []string{provisioning.RoleParkingSensor},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, err := clientStatus{p.registry}.ClientStatus(t.Context(), device.ID)
	if err != nil || !status.Active || len(status.Scopes) == 0 {
		t.Errorf("an active device: %+v, %v", status, err)
	}
	if _, _, err := p.service.Disable(t.Context(), device.ID, 0); err != nil {
		t.Fatal(err)
	}
	if status, err = (clientStatus{p.registry}).ClientStatus(t.Context(), device.ID); err != nil || status.Active {
		t.Errorf("a disabled device: %+v, %v", status, err)
	}
	if status, err = (clientStatus{p.registry}).ClientStatus(t.Context(), "nobody"); err != nil || status.Active {
		t.Errorf("an unknown device: %+v, %v", status, err)
	}
}

// runOnce opens a program and closes it again.
func runOnce(t *testing.T, cfg Config) *Program {
	t.Helper()
	p, err := openProgram(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

func readRoot(t *testing.T, p *Program) Credential {
	t.Helper()
	text, err := os.ReadFile(p.RootFile())
	if err != nil {
		t.Fatal(err)
	}
	var c Credential
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
