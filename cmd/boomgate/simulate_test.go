package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

func TestTheSimulatorMakesItsDevicesAndUsesThemAgain(t *testing.T) {
	t.Parallel()
	p := startProgram(t, testConfig(t))
	simulate := func(args ...string) (int, string) {
		var out bytes.Buffer
		args = append([]string{"simulate", "--credential", p.RootFile(), "--sensors", "3", "--for", "2s"}, args...)
		code := run(t.Context(), args, nil, nil, &out, &out)
		return code, out.String()
	}
	for range 2 {
		code, out := simulate()
		if code != exitDone || !strings.Contains(out, "/3") || strings.Contains(out, "published 0 ") {
			t.Fatalf("code %d\n%s", code, out)
		}
	}
	page, err := p.registry.Clients(t.Context(), provisioning.Query{Kind: provisioning.KindDevice})
	if err != nil || len(page.Clients) != 3 {
		t.Fatalf("%d devices, %v, want 3", len(page.Clients), err)
	}
}

func TestTheSimulatorLeavesDevicesAloneThatItDidNotMake(t *testing.T) {
	t.Parallel()
	p := startProgram(t, testConfig(t))
	before, secret, err := p.service.Create(t.Context(), provisioning.NewClient{ID: "sim-north-b1-001", Kind: provisioning.KindDevice})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code := run(t.Context(), []string{"simulate", "--credential", p.RootFile(), "--sensors", "1"}, nil, nil, &out, &out)
	if code != exitFailed || !strings.Contains(out.String(), "was not made by simulate") || !strings.Contains(out.String(), "--site") {
		t.Errorf("code %d\n%s", code, out.String())
	}
	if _, _, err := p.registry.Authenticate(t.Context(), before.ID, secret.Reveal()); err != nil {
		t.Errorf("its secret works no more: %v", err)
	}
}
