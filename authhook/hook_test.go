package authhook_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook"
)

func silentServer() *mqtt.Server {
	return mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
}

func TestJ5_EveryFaultOfTheConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	_, err := authhook.New(nil, authhook.Config{
		OnDenied: 7, Leeway: -time.Second, VerifyTimeout: -time.Second, CloseGrace: -time.Second, Limits: authhook.Limits{Retained: -1},
	})
	if err == nil {
		t.Fatal("the configuration was accepted")
	}
	for _, fault := range []string{"server", "Verifier", "OnDenied", "Leeway", "VerifyTimeout", "Limits", "CloseGrace"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("the error does not mention %s: %v", fault, err)
		}
	}
}

func TestAHookGuardsItsOwnServerOnly(t *testing.T) {
	t.Parallel()
	hook, err := authhook.New(silentServer(), authhook.Config{Verifier: newVerifier(t, time.Now)})
	if err != nil {
		t.Fatal(err)
	}
	if err := silentServer().AddHook(hook, nil); err == nil {
		t.Error("another server took the hook")
	}
}

func TestWithoutClientStatusTheIssuersWordIsEnough(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.Clients = nil })
	g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"))
	g.expectRefused(t, 5, "other", g.token(t, "sensor-1"), notAuthorized, authhook.RuleMQTTClientID)
}
