package main

import (
	"context"
	"fmt"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// openObservers lets what the gate decides be counted, be remembered, and move the clocks of clients; openHTTP adds what the token
// endpoint decides.
func (p *Program) openObservers(context.Context) error {
	var err error
	p.metrics, p.refusals = newMetrics(p.connectedSessions), newRefusals()
	p.recorder, err = provisioning.NewRecorder(provisioning.RecorderConfig{Store: p.store, Logger: p.log})
	if err != nil {
		return fmt.Errorf("make the recorder of sightings: %w", err)
	}
	p.events.subscribe(p.seeEvent)
	p.events.subscribe(p.metrics.seeDecision)
	p.events.subscribe(p.refusals.seeDecision)
	return nil
}

func (p *Program) connectedSessions() int { return len(p.hook.Sessions()) }

// seeToken is told of every token request.
func (p *Program) seeToken(e oauth.Event) {
	p.metrics.seeToken(e)
	p.refusals.seeToken(e)
	if e.Issued() {
		p.recorder.Token(e.ClientID, e.CredentialID, e.Time)
	}
}

// seeEvent is told of every decision of the gate, on the connection concerned.
func (p *Program) seeEvent(e authhook.Event) {
	if !e.Allowed {
		return
	}
	switch e.Kind {
	case authhook.KindConnect:
		p.recorder.Connected(e.ClientID, e.Time)
	case authhook.KindPublish:
		p.recorder.Message(e.ClientID, e.Time)
	default: // of the broker's making, or no clock's business
	}
}
