package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/storetest"
)

func TestWhatClientsDidIsInTheRegistryAfterARestart(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	start := time.Now().Truncate(time.Second)
	var busy, idle *provisioning.Client
	t.Run("a client gets a token, connects and publishes", func(t *testing.T) {
		p := startProgram(t, cfg)
		var cred Credential
		busy, cred = createSensor(t, p)
		idle, _ = createSensor(t, p)
		act(t, p, cred)
	})
	end := time.Now()
	p := startProgram(t, cfg)
	got, err := p.registry.Client(t.Context(), busy.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{
		"token": got.LastTokenAt, "connected": got.LastConnectedAt, "message": got.LastMessageAt, "secret": got.Secrets[0].LastUsedAt,
	} {
		if at.Before(start) || at.After(end) {
			t.Errorf("%s: the clock shows %v, want %v to %v", name, at, start, end)
		}
	}
	if got.Version != busy.Version || !got.UpdatedAt.Equal(busy.UpdatedAt) {
		t.Errorf("the record was written: version %d of %v", got.Version, got.UpdatedAt)
	}
	got, err = p.registry.Client(t.Context(), idle.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.LastTokenAt.IsZero() || !got.LastConnectedAt.IsZero() || !got.LastMessageAt.IsZero() || !got.Secrets[0].LastUsedAt.IsZero() {
		t.Errorf("a client that did nothing was seen: %+v", got)
	}
}

func createSensor(tb testing.TB, p *Program) (*provisioning.Client, Credential) {
	tb.Helper()
	c, secret, err := p.service.Create(tb.Context(), provisioning.NewClient{
		Kind: provisioning.KindDevice, Labels: map[string]string{"site": "north"}, Roles: []string{provisioning.RoleParkingSensor},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c, Credential{ClientID: c.ID, ClientSecret: secret.Reveal(), TokenEndpoint: p.tokenEndpoint()}
}

// act does once what a sensor does.
func act(tb testing.TB, p *Program, cred Credential) {
	tb.Helper()
	token, err := tokenSource(tb.Context(), cred, provisioning.AudienceMQTT, nil).Token()
	if err != nil {
		tb.Fatal(err)
	}
	client, err := connectMQTT(p.BrokerURL(), cred.ClientID, token.AccessToken)
	if err != nil {
		tb.Fatal(err)
	}
	defer client.Disconnect(0)
	if err := settle(client.Publish("parking/v1/north/"+cred.ClientID+"/state", 1, true, "{}")); err != nil {
		tb.Fatal(err)
	}
}

func TestATokenThatIsIssuedWhileTheProgramStopsIsInTheRegistry(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	p, err := openProgram(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	sensor, cred := createSensor(t, p)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {cred.ClientID}, "client_secret": {cred.ClientSecret}}.Encode()
	answers := bufio.NewReader(conn)
	fmt.Fprintf(conn, "POST /oauth/token HTTP/1.1\r\nHost: gate\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(form))
	wantStatus(t, answers, http.StatusContinue) // the request is being served now
	stop()
	for err == nil { // until the listener is closed
		var other net.Conn
		if other, err = dialer.DialContext(t.Context(), "tcp", p.listener.Addr().String()); err == nil {
			_ = other.Close()
		}
	}
	fmt.Fprint(conn, form)
	wantStatus(t, answers, http.StatusOK)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	got, err := startProgram(t, cfg).registry.Client(t.Context(), sensor.ID)
	if err != nil || got.LastTokenAt.IsZero() {
		t.Errorf("the last token is of %v, error %v", got.LastTokenAt, err)
	}
}

func wantStatus(tb testing.TB, r *bufio.Reader, want int) {
	tb.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != want {
		tb.Fatalf("the answer is %s, want %d", resp.Status, want)
	}
}

func TestWhatIsRefusedIsNoSighting(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	var sensor *provisioning.Client
	t.Run("a client is refused", func(t *testing.T) {
		p := startProgram(t, cfg)
		var cred Credential
		sensor, cred = createSensor(t, p)
		cred.ClientSecret += "x"
		if _, err := tokenSource(t.Context(), cred, provisioning.AudienceMQTT, nil).Token(); err == nil {
			t.Error("a wrong secret got a token")
		}
		if _, err := connectMQTT(p.BrokerURL(), cred.ClientID, "no token"); err == nil {
			t.Error("a wrong token was let in")
		}
	})
	got, err := startProgram(t, cfg).registry.Client(t.Context(), sensor.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.LastTokenAt.IsZero() || !got.LastConnectedAt.IsZero() || !got.LastMessageAt.IsZero() {
		t.Errorf("a refused client was seen: %+v", got)
	}
}

// BenchmarkSightingOfAPublish measures what the clocks cost each message.
func BenchmarkSightingOfAPublish(b *testing.B) {
	recorder, err := provisioning.NewRecorder(provisioning.RecorderConfig{
		Store: storetest.NewMemory(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	p := &Program{events: &eventHub{}, recorder: recorder}
	p.events.subscribe(p.seeEvent)
	event := authhook.Event{Time: time.Now(), Kind: authhook.KindPublish, Allowed: true, ClientID: "device-1"}
	b.ReportAllocs()
	for b.Loop() {
		p.events.publish(event)
	}
}
