package soak_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// act does one thing.
func (d *device) act(ctx context.Context, l *link) {
	switch n := d.random.IntN(100); {
	case n < 20:
		d.subscribe(l)
	case n < 25:
		d.unsubscribe(l)
	case n < 75:
		d.publish(l)
	case n < 78:
		d.flood(l)
	case n < 88:
		d.renew(ctx, l)
	default:
		l.ping()
	}
}

func (d *device) subscribe(l *link) {
	area := "plant/" + areas[d.random.IntN(len(areas))]
	if may := d.client.role.held.last().of(d.client.id).sub; d.random.IntN(6) > 0 {
		area = strings.TrimSuffix(may[d.random.IntN(len(may))], "/#")
	}
	filter := []string{area + "/#", area + "/+/state", area + "/" + d.client.id + "/#", "$share/crew/" + area + "/#", "plant/#", "#"}[d.random.IntN(6)]
	d.asks(filter)
	asked := time.Now()
	p, err := l.request(func(id uint16) []byte { return harness.EncodeSubscribe(l.version, id, byte(d.random.IntN(3)), filter) })
	if err != nil {
		return
	}
	v := d.client.judge(l.tokens, span{asked, time.Now()}, subscribing(filter))
	switch code := p.Code(); {
	case code < 3 && !v.may:
		d.world.faultf("%s got a subscription to %q", l, filter)
	case code >= 3 && !v.mayNot:
		d.world.faultf("%s was refused a subscription to %q with 0x%02x", l, filter, code)
	case code < 3:
		d.world.saw("subscription granted")
	default:
		d.world.saw("subscription refused")
	}
}

func (d *device) unsubscribe(l *link) {
	filter := "plant/" + areas[d.random.IntN(len(areas))] + "/#"
	_, _ = l.request(func(id uint16) []byte { return harness.EncodeUnsubscribe(l.version, id, filter) })
}

// asks notes a filter that the device subscribes to.
func (d *device) asks(filter string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.filters, filter) {
		d.filters = append(d.filters, filter)
	}
}

// asked says whether the device has ever subscribed to something that a topic is part of.
func (d *device) asked(topic string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.filters, func(filter string) bool {
		return matches(strings.Split(unshared(filter), "/"), strings.Split(topic, "/"))
	})
}

func (d *device) publish(l *link) {
	m := harness.Message{Topic: d.own() + "/state", QoS: byte(d.random.IntN(3)), Retain: d.random.IntN(5) == 0}
	size := d.random.IntN(200)
	switch d.random.IntN(20) {
	case 0:
		m.Topic = strings.Replace(m.Topic, d.client.id, "another", 1)
	case 1:
		size = payloadMost + 1 + d.random.IntN(payloadMost)
	}
	m.Payload = l.payload(size)
	asked := time.Now()
	if m.QoS == 0 {
		_ = l.write(m.Encode(l.version, 0))
		return
	}
	p, err := l.request(func(id uint16) []byte { return m.Encode(l.version, id) })
	if err != nil || l.version < 5 {
		return
	}
	v := d.client.judge(l.tokens, span{asked, time.Now()}, publishing(m.Topic))
	switch code := p.Code(); {
	case code < 0x80 && (!v.may || len(m.Payload) > payloadMost):
		d.world.faultf("%s was acknowledged %d bytes on %q", l, len(m.Payload), m.Topic)
	case code < 0x80:
		d.client.accepted.Add(1)
		d.world.saw("publish acknowledged")
	case code == 0x87 && !v.mayNot:
		d.world.faultf("%s was refused a message on %q", l, m.Topic)
	case code == 0x87:
		d.world.saw("publish refused")
	case code == 0x97:
		d.world.saw("publish over a limit")
	case code == 0x92 && (v.mayNot || d.client.disturbedIn(span{asked, time.Now()})):
		d.world.saw("publish of a session that was thrown away meanwhile")
	default:
		d.world.faultf("%s got 0x%02x for a message", l, code)
	}
}

// flood says too much at once.
func (d *device) flood(l *link) {
	m := harness.Message{Topic: d.own() + "/state", Payload: l.payload(20)}
	var sent []byte
	for range 2 * rateMost {
		sent = append(sent, m.Encode(l.version, 0)...)
	}
	_ = l.write(sent)
	d.world.saw("flood")
}

// renew gives a connection another token: usually one of its own.
func (d *device) renew(ctx context.Context, l *link) {
	if l.renewals++; !l.method || l.renewals > renewalsMost {
		return
	}
	t := d.world.fetch(ctx, d.client)
	if t == nil {
		return
	}
	text := t.text
	foreign := d.random.IntN(5) == 0
	if foreign {
		other := d.world.clients[d.random.IntN(len(d.world.clients))]
		stranger := d.world.fetch(ctx, other)
		if stranger == nil || other == d.client {
			return
		}
		text = stranger.text
		l.forgiven.Store(true)
	}
	asked := time.Now()
	certain := func() {}
	if !foreign {
		certain = l.tokens.ask(t)
	}
	if l.write(harness.EncodeAuth(harness.ReAuthenticate, method, text)) != nil {
		return
	}
	p, err := l.await(l.renewed)
	switch {
	case err != nil && foreign:
		d.world.saw("renewal refused")
	case err != nil:
		d.world.saw("renewal without an answer")
	case foreign:
		d.world.faultf("%s was renewed with another client's token", l)
	case p.Code() != 0:
		d.world.faultf("%s: a renewal was answered with 0x%02x", l, p.Code())
	default:
		certain()
		d.token = t
		d.world.saw("renewal accepted")
		if !d.client.judge(holding(t), span{asked, time.Now()}, connecting).may {
			d.world.faultf("%s was renewed with a token that is not good", l)
		}
	}
}
