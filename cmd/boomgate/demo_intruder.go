package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/boomgate/boomgate/authhook"
	devicesim "github.com/boomgate/boomgate/device-sim"
	"github.com/boomgate/boomgate/provisioning"
)

// intruderAttempts is how many ways the intruder tries.
const intruderAttempts = 4

// attempt is one intrusion and what became of it.
type attempt struct {
	what    string
	reason  string // as operators see it
	refused bool
}

// intruder tries, through real connections, what a thief of one credential or token would try.
type intruder struct {
	program *Program
	thief   devicesim.Credential // the stolen credential
	victim  devicesim.Credential // whose topics and identity are wanted
	reader  *demoReader
	view    demoView
	events  chan authhook.Event
	pace    time.Duration // between two attempts

	mu   sync.Mutex
	done []attempt
}

func newIntruder(p *Program, thief, victim devicesim.Credential, reader *demoReader, view demoView, pace time.Duration) *intruder {
	in := &intruder{program: p, thief: thief, victim: victim, reader: reader, view: view, pace: pace, events: make(chan authhook.Event, 64)}
	p.events.subscribe(func(e authhook.Event) {
		if e.Allowed {
			return
		}
		select {
		case in.events <- e:
		default: // nobody waits for more than the next refusal
		}
	})
	return in
}

func (in *intruder) attempts() []attempt {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.done)
}

// run makes the attempts one after the other; only a fault of the demo itself is an error.
func (in *intruder) run(ctx context.Context) error {
	token, err := in.stolenToken(ctx)
	if err != nil {
		return err
	}
	lapsed, expired, err := in.program.issuer.Mint(ctx, provisioning.AccessToken{
		ClientID: in.thief.ClientID, Audience: []string{provisioning.AudienceMQTT},
		Scopes: []string{"pub:parking/v1/" + demoSite + "/" + in.thief.ClientID + "/state"}, Lifetime: time.Second,
	})
	if err != nil {
		return fmt.Errorf("mint a token that expires: %w", err)
	}
	for _, try := range []func(context.Context) (attempt, error){
		func(ctx context.Context) (attempt, error) { return in.writeForeignTopic(ctx, token) },
		func(ctx context.Context) (attempt, error) { return in.useForeignID(ctx, token) },
		in.askForMore,
		func(ctx context.Context) (attempt, error) { return in.useExpiredToken(ctx, lapsed, expired) },
	} {
		if !pause(ctx, in.pace) {
			return nil
		}
		result, err := try(ctx)
		if err != nil {
			return err
		}
		if ctx.Err() != nil && !result.refused {
			return nil // the demo ended before the gate spoke
		}
		in.note(result)
	}
	return nil
}

func (in *intruder) note(a attempt) {
	in.mu.Lock()
	in.done = append(in.done, a)
	in.mu.Unlock()
	verdict := "refused"
	if !a.refused {
		verdict = "ALLOWED"
	}
	in.view.note(fmt.Sprintf("intruder: %s: %s (%s)", a.what, verdict, a.reason))
}

func (in *intruder) stolenToken(ctx context.Context) (string, error) {
	cred := Credential{ClientID: in.thief.ClientID, ClientSecret: in.thief.ClientSecret, TokenEndpoint: in.program.tokenEndpoint()}
	token, err := tokenSource(ctx, cred, provisioning.AudienceMQTT, nil).Token()
	if err != nil {
		return "", explainTokenError(cred, err)
	}
	return token.AccessToken, nil
}

// writeForeignTopic connects as the stolen sensor, which is allowed, and reports for another space, which is not.
func (in *intruder) writeForeignTopic(ctx context.Context, token string) (attempt, error) {
	id := in.thief.ClientID + ":copy"
	client, err := connectMQTT(in.program.BrokerURL(), id, token)
	if err != nil {
		return attempt{}, fmt.Errorf("connect the intruder: %w", err)
	}
	defer client.Disconnect(0)
	what := fmt.Sprintf("%s writes the topic of %s", in.thief.ClientID, in.victim.ClientID)
	topic := "parking/v1/" + demoSite + "/" + in.victim.ClientID + "/state"
	_ = settle(client.Publish(topic, 1, true, `{"v":1,"spot":"forged","status":"free","why":"change"}`))
	return in.verdict(ctx, what, id, authhook.KindPublish), nil
}

// useForeignID presents the stolen token under the victim's MQTT client ID.
func (in *intruder) useForeignID(ctx context.Context, token string) (attempt, error) {
	what := fmt.Sprintf("the token of %s under the MQTT client ID %s", in.thief.ClientID, in.victim.ClientID)
	return in.knock(ctx, what, in.victim.ClientID, token), nil
}

// askForMore subscribes to everything below a level of which the reader was granted a part.
func (in *intruder) askForMore(ctx context.Context) (attempt, error) {
	const filter = "parking/v1/#"
	what := "the board, granted parking/v1/+/+/state, subscribes to " + filter
	_ = settle(in.reader.client.Subscribe(filter, 0, nil))
	return in.verdict(ctx, what, "board", authhook.KindSubscribe), nil
}

// useExpiredToken waits until a token has lapsed and knocks with it.
func (in *intruder) useExpiredToken(ctx context.Context, token string, expired time.Time) (attempt, error) {
	pause(ctx, time.Until(expired.Add(in.program.cfg.Leeway+time.Second)))
	return in.knock(ctx, "a token that expired a moment ago", in.thief.ClientID+":late", token), nil
}

// knock tries to connect; a connection that opens is an intrusion.
func (in *intruder) knock(ctx context.Context, what, mqttClientID, token string) attempt {
	client, err := connectMQTT(in.program.BrokerURL(), mqttClientID, token)
	if err == nil {
		client.Disconnect(0)
		return attempt{what: what, reason: "the connection was accepted"}
	}
	return in.verdict(ctx, what, mqttClientID, authhook.KindConnect)
}

// verdict waits for the gate's word on one MQTT client ID; no word means that it let the attempt pass.
func (in *intruder) verdict(ctx context.Context, what, mqttClientID string, kind authhook.Kind) attempt {
	timeout := time.NewTimer(2 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case e := <-in.events:
			if e.MQTTClientID == mqttClientID && e.Kind == kind {
				return attempt{what: what, reason: inWords(e), refused: true}
			}
		case <-timeout.C:
			return attempt{what: what, reason: "the gate said nothing"}
		case <-ctx.Done():
			return attempt{what: what}
		}
	}
}

// inWords says what a refusal means, and what the client was told of it.
func inWords(e authhook.Event) string {
	words, ok := map[string]string{
		"no-grant":                "its token grants nothing that covers this topic",
		authhook.RuleMQTTClientID: "a token is good for its own client's ID only",
		authhook.RuleExpired:      "the token's time is over",
	}[e.Rule]
	if !ok {
		words = "refused"
	}
	told := "told nothing"
	if e.ReasonCode != 0 {
		told = fmt.Sprintf("told 0x%02X", e.ReasonCode)
	}
	return fmt.Sprintf("%s (%s): %s", e.Rule, told, words)
}

// pause waits, and reports whether ctx is still alive afterwards.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
