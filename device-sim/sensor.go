package devicesim

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/oauth2/clientcredentials"
)

// stableAfter is how long a connection must have lasted for its end to count as the first failure.
const stableAfter = 30 * time.Second

// Keys of the log.
const (
	keyDevice = "device"
	keyCause  = "cause"
	keyError  = "error"
)

// sensor gets the messages of one device through the gate. All of it runs in one goroutine.
type sensor struct {
	fleet  *Fleet
	device *device
	prefix string // of its topics, with the last slash
	tokens *clientcredentials.Config
	rand   *rand.Rand

	token   token
	waits   backoff
	known   bool // to the broker: it has had a session with the sensor
	renewed bool // has just renewed its token: it need not queue at the gate again
}

// run connects, and connects again, until the context ends.
func (s *sensor) run(ctx context.Context) {
	for s.device.waitUp(ctx) == nil {
		if failed := asSetback(s.attempt(ctx)); failed != nil {
			_ = pause(ctx, s.waits.next(failed.cause == causeCredential))
		}
	}
}

// attempt connects once and serves the connection to its end. The error is a setback or the context's; nil means that the sensor
// itself ended the connection, in order to open another one.
func (s *sensor) attempt(ctx context.Context) error {
	enter := s.fleet.gate.enter
	if s.renewed {
		enter = s.fleet.gate.reenter
	}
	if err := enter(ctx); err != nil {
		return err
	}
	s.renewed = false
	s.device.install()
	l, err := s.connect(ctx)
	s.fleet.gate.leave()
	if err != nil {
		s.tell(ctx, err)
		return err
	}

	began := s.fleet.cfg.Now()
	err = s.serve(ctx, l)
	s.setConnected(false, false)
	if failed := asSetback(err); failed != nil {
		l.drop()
		s.emit(Lost, failed.cause)
	}
	if s.fleet.cfg.Now().Sub(began) >= stableAfter {
		s.waits.reset()
	}
	return err
}

// connect gets a token, unless there is one that is not due for renewal, opens a link with it, and introduces the sensor.
func (s *sensor) connect(ctx context.Context) (*link, error) {
	if !s.token.usable(s.fleet.cfg.Now()) {
		fresh, err := s.fetchToken(ctx)
		if err != nil {
			return nil, err
		}
		s.token = fresh
	}
	l, err := openLink(ctx, &s.fleet.cfg, s.fleet.broker, greeting{
		clientID: s.device.id.Device, password: s.token.text, willTo: s.prefix + topicLife, incoming: s.incoming,
	})
	if err != nil {
		if failed := asSetback(err); failed != nil && failed.refusal() {
			s.token = token{} // whatever is wrong, a fresh one is the only thing that may help
		}
		return nil, err
	}
	s.fleet.counts.connects.Add(1)
	if err := s.introduce(ctx, l); err != nil {
		if ctx.Err() != nil {
			s.leave(ctx, l)
		} else {
			l.drop()
		}
		return nil, err
	}
	s.setConnected(true, s.known && !l.resumed)
	s.known = true
	s.emit(Connected, "")
	return l, nil
}

// introduce subscribes to commands and says that the sensor is ready.
func (s *sensor) introduce(ctx context.Context, l *link) error {
	granted, err := l.subscribe(ctx, s.prefix+topicCommands+"+")
	if err != nil {
		return err
	}
	if !granted {
		s.tell(ctx, &setback{cause: causeSubscription})
	}
	return s.say(ctx, l, StateReady)
}

// serve publishes what the device has to say, one message after the other, and renews the token in time. It ends with a setback
// when the connection broke, and with nil when the sensor ended it.
func (s *sensor) serve(ctx context.Context, l *link) error {
	renewal := s.renewalTimer()
	defer renewal.Stop()
	for {
		m, waiting := s.device.first()
		var ready <-chan struct{} // nil: nothing to publish
		if waiting {
			ready = s.fleet.always
		}
		select {
		case <-ctx.Done():
			s.leave(ctx, l)
			return nil
		case <-l.lost:
			return &setback{cause: causeBroken}
		case <-renewal.C:
			if err := s.renew(ctx, l); err == nil {
				return nil
			} else if failed := asSetback(err); failed != nil {
				s.tell(ctx, failed)
				renewal.Reset(s.waits.next(failed.cause == causeCredential))
			}
		case <-s.device.wake:
		case <-ready:
			if ended, err := s.deliver(ctx, l, m); ended || asSetback(err) != nil {
				return err
			}
		}
		if up, why := s.device.up(); !up {
			l.drop()
			s.emit(Lost, why)
			return nil
		}
	}
}

// renewalTimer fires when the token should be renewed; never, when its end is unknown.
func (s *sensor) renewalTimer() *time.Timer {
	if s.token.renewAt.IsZero() {
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		return timer
	}
	return time.NewTimer(s.token.renewAt.Sub(s.fleet.cfg.Now()))
}

// renew gets a fresh token while the old one still serves, and hangs up in order to come back with it: MQTT 3.1.1 knows no other
// way. The DISCONNECT keeps the will from being published, nothing is in flight, and what the device says meanwhile is kept. On an
// error the connection goes on.
func (s *sensor) renew(ctx context.Context, l *link) error {
	if err := s.fleet.gate.enter(ctx); err != nil {
		return err
	}
	defer s.fleet.gate.leave()
	fresh, err := s.fetchToken(ctx)
	if err != nil {
		return err
	}
	s.token, s.renewed = fresh, true
	s.waits.reset()
	l.close()
	s.emit(Renewed, "")
	return nil
}

// deliver publishes a message of the device; ended tells that the device has been rebooted by it. A message whose delivery is in
// doubt stays in the outbox and is sent again.
func (s *sensor) deliver(ctx context.Context, l *link, m message) (ended bool, err error) {
	if err := s.publish(ctx, l, m); err != nil {
		return false, err
	}
	s.device.delivered(m)
	if m.reboot {
		s.reboot(ctx, l)
	}
	return m.reboot, nil
}

// reboot carries out a reboot by command: goodbye, the time it takes, and nothing remembered but what a device keeps in flash.
func (s *sensor) reboot(ctx context.Context, l *link) {
	s.device.restart()
	s.goodbye(ctx, l)
	s.token = token{}
	if s.fleet.clock.wait(ctx, bootTime) == nil {
		s.device.restarted()
	}
}

// leave ends the connection because the fleet stops: what is kept goes out first, as far as Config.StopTimeout allows.
func (s *sensor) leave(ctx context.Context, l *link) {
	stop := s.fleet.cfg.StopTimeout
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(stop-closeTimeout, stop/2))
	defer cancel()
	for m, waiting := s.device.first(); waiting; m, waiting = s.device.first() {
		if s.publish(ctx, l, m) != nil {
			break
		}
		s.device.delivered(m)
	}
	s.goodbye(ctx, l)
}

// goodbye says that the sensor is disconnected, and disconnects. When that cannot be said, the will shall say that it is lost:
// anything is better than a sensor that is ready for ever.
func (s *sensor) goodbye(ctx context.Context, l *link) {
	if err := s.say(ctx, l, StateDisconnected); err != nil {
		l.drop()
		s.emit(Lost, causeBroken)
		return
	}
	l.close()
	s.emit(Disconnected, "")
}

// say publishes what the sensor is.
func (s *sensor) say(ctx context.Context, l *link, what string) error {
	return s.publish(ctx, l, message{topic: topicLife, payload: []byte(what), qos: 1, retain: true})
}

func (s *sensor) publish(ctx context.Context, l *link, m message) error {
	if err := l.publish(ctx, s.prefix+m.topic, m); err != nil {
		return err
	}
	e := s.event(Published, "")
	e.Topic, e.QoS, e.Status = s.prefix+m.topic, m.qos, m.status
	s.fleet.note(e)
	return nil
}

// incoming takes a message from the broker; it is called by paho, and does not block.
func (s *sensor) incoming(topic string, payload []byte, retained bool) {
	if name, ok := strings.CutPrefix(topic, s.prefix+topicCommands); ok {
		s.device.command(name, payload, retained)
	}
}

func (s *sensor) setConnected(connected, fresh bool) {
	change := int64(1)
	if !connected {
		change = -1
	}
	s.fleet.counts.connected.Add(change)
	s.device.setConnected(connected, fresh)
}

// tell makes an event and a log record of a setback; of anything else, nothing.
func (s *sensor) tell(ctx context.Context, err error) {
	failed := asSetback(err)
	if failed == nil {
		return
	}
	kind, level := Failed, slog.LevelInfo
	if failed.refusal() {
		kind, level = Refused, slog.LevelWarn
	}
	s.emit(kind, failed.cause)
	attrs := []slog.Attr{slog.String(keyDevice, s.device.id.Device), slog.String(keyCause, failed.cause)}
	if failed.err != nil {
		attrs = append(attrs, slog.String(keyError, failed.err.Error()))
	}
	s.fleet.cfg.Logger.LogAttrs(ctx, level, "a sensor did not get through", attrs...)
}

func (s *sensor) emit(kind Kind, cause string) { s.fleet.note(s.event(kind, cause)) }

func (s *sensor) event(kind Kind, cause string) Event {
	e := s.device.id
	e.Time, e.Kind, e.Cause = s.fleet.clock.now(), kind, cause
	return e
}

// asSetback gives the setback that err is, or nil.
func asSetback(err error) *setback {
	failed, _ := errors.AsType[*setback](err)
	return failed
}
