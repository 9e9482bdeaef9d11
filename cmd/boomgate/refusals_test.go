package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/boomgate/boomgate/authhook"
)

func TestWhatSomebodyClaimsPushesOutNothingThatIsProven(t *testing.T) {
	t.Parallel()

	log := newRefusals()
	at := time.Unix(1_800_000_000, 0)
	log.seeDecision(authhook.Event{Time: at, Kind: authhook.KindPublish, Rule: "no-grant", ClientID: "meter", Topic: "a"})
	for n := range 2 * refusedClients {
		log.seeDecision(authhook.Event{Time: at.Add(time.Second), Kind: authhook.KindConnect, Rule: "token-signature", MQTTClientID: "meter"})
		log.seeDecision(authhook.Event{Time: at, Kind: authhook.KindConnect, Rule: "token-signature", MQTTClientID: fmt.Sprint("stranger-", n)})
	}
	log.seeDecision(authhook.Event{Time: at.Add(2 * time.Second), Kind: authhook.KindConnect, Allowed: true, ClientID: "meter"})

	got := log.of("meter")
	if len(got) != refusalsEach+1 {
		t.Fatalf("%d refusals are remembered, want %d", len(got), refusalsEach+1)
	}
	last := got[len(got)-1]
	if !last.Verified || last.Rule != "no-grant" || last.Topic != "a" {
		t.Errorf("the oldest is %+v, want the one that is proven", last)
	}
	if got[0].Verified || got[0].Time != at.Add(time.Second) {
		t.Errorf("the newest is %+v, want what was claimed last", got[0])
	}
	if size := log.claimed.clients.Len(); size > refusedClients {
		t.Errorf("%d clients are remembered, want %d at most", size, refusedClients)
	}
}
