package devicesim

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// Topics below parking/v1/{site}/{device}/.
const (
	topicState    = "state"
	topicHealth   = "health"
	topicInfo     = "info"
	topicLife     = "$state"
	topicCommands = "cmd/"
	topicAnswers  = "ack/"
)

// What a device takes from outside is bounded.
const (
	maxCommand  = 4 << 10 // bytes of a payload
	maxAnswered = 8       // commands whose repetition is recognised
)

var commandID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ErrNoCommand is the error of a payload that is no Command.
var ErrNoCommand = errors.New("devicesim: no command")

// ParseCommand reads the payload of a command: a JSON object with an ID that fits into the topic of its answer. Other members are
// the business of the command. The error is ErrNoCommand.
func ParseCommand(payload []byte) (Command, error) {
	var c Command
	if len(payload) > maxCommand || json.Unmarshal(payload, &c) != nil || !commandID.MatchString(c.ID) {
		return Command{}, ErrNoCommand
	}
	return c, nil
}

// command takes a command that has arrived under cmd/{name}. What is no command is ignored: there is nobody to answer to.
func (d *device) command(name string, payload []byte, retained bool) {
	c, err := ParseCommand(payload)
	if err != nil || retained {
		return
	}
	d.do(func() {
		if !d.talks() {
			return
		}
		for _, a := range d.answered {
			if a.ID == c.ID {
				d.put(answerMessage(a)) // QoS 1: delivered again, because the first acknowledgement was lost
				return
			}
		}
		a := d.answer(c.ID, strings.TrimPrefix(name, topicCommands))
		m := answerMessage(a)
		m.reboot = a.OK && a.Command == CommandReboot
		d.put(m)
	})
}

// answer carries out a command, save a reboot, which has to wait until its answer is delivered.
func (d *device) answer(id, name string) Answer {
	a := Answer{Head: d.head(d.now()), ID: id, Command: name, OK: true}
	switch name {
	case CommandPing, CommandIdentify, CommandReboot:
		d.event(Commanded, a.TS.Time, name)
	default:
		a.OK, a.Error, a.Command = false, AnswerUnknown, ""
	}
	d.answered = append(d.answered, a)
	if len(d.answered) > maxAnswered {
		d.answered = append(d.answered[:0], d.answered[1:]...)
	}
	return a
}

func answerMessage(a Answer) message {
	return message{topic: topicAnswers + a.ID, payload: encode(a), qos: 1}
}
