package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// explainer lets the fleet API ask the gate.
type explainer struct {
	hook     *authhook.Hook
	refusals *refusals
}

func (e explainer) Explain(ctx context.Context, r fleetapi.ExplainRequest) (fleetapi.Explanation, error) {
	question := authhook.Question{
		Token: r.Token, ClientID: r.ClientID, Action: r.Action, Topic: r.Topic, QoS: r.QoS, Retain: r.Retain, PayloadBytes: r.PayloadBytes,
	}
	if c := r.Connect; c != nil {
		question.Connect = &authhook.ConnectQuestion{MQTTClientID: c.MQTTClientID, Thumbprint: c.Thumbprint}
		if c.Will != nil {
			question.Connect.Will = &authhook.WillQuestion{Topic: c.Will.Topic, QoS: c.Will.QoS, Retain: c.Will.Retain}
		}
	}
	answer, err := e.hook.Explain(ctx, question)
	if errors.Is(err, authhook.ErrQuestion) {
		return fleetapi.Explanation{}, provisioning.Invalid("action", err.Error())
	} else if err != nil {
		return fleetapi.Explanation{}, fmt.Errorf("ask the gate: %w", err)
	}
	checks := make([]fleetapi.Check, len(answer.Checks))
	for i, check := range answer.Checks {
		checks[i] = fleetapi.Check(check)
	}
	return fleetapi.Explanation{
		Allowed: answer.Allowed, Rule: answer.Rule, Grant: answer.Grant, ReasonCode: int(answer.ReasonCode), ReturnCode: int(answer.ReturnCode),
		Checks: checks, Fix: answer.Fix, ClientID: answer.ClientID, Issuer: answer.Issuer, Grants: answer.Grants,
	}, nil
}

func (e explainer) LastRefusals(_ context.Context, clientID string) ([]fleetapi.Refusal, error) {
	return e.refusals.of(clientID), nil
}
