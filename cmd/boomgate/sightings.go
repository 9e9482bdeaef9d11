package main

import (
	"context"
	"fmt"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// openRecorder lets what the gate sees move the clocks of clients; openHTTP adds the token endpoint.
func (p *Program) openRecorder(context.Context) error {
	var err error
	p.recorder, err = provisioning.NewRecorder(provisioning.RecorderConfig{Store: p.store, Logger: p.log})
	if err != nil {
		return fmt.Errorf("make the recorder of sightings: %w", err)
	}
	p.events.subscribe(p.seeEvent)
	return nil
}

// seeToken is told of every token request.
func (p *Program) seeToken(e oauth.Event) {
	if e.Issued() {
		p.recorder.Token(e.ClientID, e.SecretID, e.Time)
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
