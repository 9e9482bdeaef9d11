package e2e_test

import (
	enc "encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/boomgate/boomgate/e2e/harness"
)

func publishSection() denySection {
	const large = 90_000
	noAlias := func(alias uint16) publishTry {
		return publishTry{scopes: []string{"pub:own/#"}, topics: []string{""}, alias: &alias}
	}
	zero := uint16(0)
	flood := slices.Repeat([]string{"own/a"}, 9)
	return denySection{
		title: "PUBLISH",
		intro: "MQTT 5 has an answer at QoS 1 and 2. Elsewhere the policy decides: with `drop` the message is acknowledged as the protocol demands, so that the device\n" +
			"does not send it again for ever, and given to nobody; with `rfc9431` the connection ends (RFC 9431 §3.1).",
		perQoS: true,
		paths: []denyPath{
			{what: "no grant for the topic", rule: "no-grant", try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"other/a"}}.refuse},
			{what: "above the QoS of the grant", rule: "qos-above-limit", qos: []byte{1, 2}, try: publishTry{scopes: []string{"pub:own/#?qos=0"}, topics: []string{"own/a"}}.refuse},
			{what: "retained where the grant forbids it", rule: "retain-not-allowed", try: publishTry{scopes: []string{"pub:own/#?retain=false"}, topics: []string{"own/a"}, retain: true}.refuse},
			{what: "to `$SYS`, with a grant for `#`", rule: "reserved-topic", try: publishTry{scopes: []string{"pub:#"}, topics: []string{"$SYS/other/a"}}.refuse},
			{what: "to `$share`, with a grant for `#`", rule: "reserved-topic", try: publishTry{scopes: []string{"pub:#"}, topics: []string{"$share/group/a"}}.refuse},
			{what: "to another topic with `$`, with a grant for `#`", rule: "no-grant", try: publishTry{scopes: []string{"pub:#"}, topics: []string{"$other/a"}}.refuse},
			{what: "to a topic of more than 128 levels", rule: "too-deep", try: publishTry{scopes: []string{"pub:#"}, topics: []string{strings.Repeat("a/", 128) + "a"}}.refuse},
			{what: "to a topic of more than 1,024 bytes", rule: "too-long", try: publishTry{scopes: []string{"pub:#"}, topics: []string{strings.Repeat("a", 1025)}}.refuse},
			{what: "a payload over `max_payload_bytes`", rule: "limit-payload", try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"own/a"}, limits: denyLimits{"max_payload_bytes": 10}, size: 11}.refuse},
			{what: "more than `max_messages_per_second`", rule: "limit-publish-rate", try: publishTry{scopes: []string{"pub:own/#"}, topics: flood, limits: denyLimits{"max_messages_per_second": 1}}.refuse},
			{what: "more than `max_bytes_per_second`", rule: "limit-bytes", try: publishTry{scopes: []string{"pub:own/#"}, topics: flood, limits: denyLimits{"max_bytes_per_second": 100}, size: 60}.refuse},
			{what: "more retained messages than `max_retained`", rule: "limit-retained", try: publishTry{
				scopes: []string{"pub:{client_id}/#"}, topics: []string{"{client_id}/a", "{client_id}/b"}, retain: true, limits: denyLimits{"max_retained": 1},
			}.refuse},
			{what: "an alias that was not set", rule: "topic-alias", only: 5, try: noAlias(1).refuse},
			{what: "alias 0", rule: "topic-alias", only: 5, try: noAlias(0).refuse},
			{what: "alias 0 with a topic", rule: "topic-alias", only: 5, try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"own/a"}, alias: &zero}.refuse},
			{what: "an alias above the server's maximum", rule: "topic-alias", only: 5, try: noAlias(60_000).refuse},
			{what: "a topic with a wildcard", try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"own/+"}}.refuse},
			{what: "an empty topic", try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{""}}.refuse},
			{what: "a topic that is not UTF-8", try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"own/\xff"}}.refuse},
			{what: "packet identifier 0", qos: []byte{1, 2}, try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"own/a"}, anonymous: true}.refuse},
			{what: "a packet over `max_packet_size`", try: publishTry{scopes: []string{"pub:own/#"}, topics: []string{"own/a"}, size: large + 20_000}.refuse},
		},
	}
}

// A publishTry is a client that sends a PUBLISH for each of these topics in one go. {client_id} is its own ID.
type publishTry struct {
	scopes    []string
	limits    denyLimits
	topics    []string
	retain    bool
	size      int // of the payload
	alias     *uint16
	anonymous bool // without a packet identifier
}

// refuse sends the messages and tells what the first gets for an answer that does not arrive.
func (try publishTry) refuse(g *denyGate, at denyCell) string {
	g.tb.Helper()
	who := g.under(try.limits, try.scopes...)
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token})
	var sent []byte
	for i, topic := range try.topics {
		sent = append(sent, try.encode(at, strings.ReplaceAll(topic, "{client_id}", who.id), i+1)...)
	}
	came, closed := g.exchange(w, sent)
	if release := releases(came); !closed && len(release) > 0 {
		var more []harness.Packet
		more, closed = g.exchange(w, release)
		came = append(came, more...)
	}
	g.expectRule(at, "remote="+w.Remote()+" ")
	refused := 1
	for _, m := range g.arrived() {
		if strings.HasPrefix(m.Payload, strconv.Itoa(refused)) {
			refused++
		}
	}
	answer := answerTo(uint16(refused), came)
	switch {
	case refused > len(try.topics):
		return spell(answer, closed) + ", delivered"
	case closed, len(answer) > 0 && answer[0].Code() >= 0x80:
		return spell(answer, closed)
	case len(answer) > 0:
		return spell(answer, closed) + ", dropped"
	default:
		return "dropped"
	}
}

// encode writes a PUBLISH whose payload begins with its number.
func (try publishTry) encode(at denyCell, topic string, number int) []byte {
	first := byte(harness.TypePublish<<4) | at.qos<<1
	if try.retain {
		first |= 1
	}
	body := harness.Field(topic)
	switch {
	case at.qos > 0 && try.anonymous:
		body = append(body, 0, 0)
	case at.qos > 0:
		body = enc.BigEndian.AppendUint16(body, uint16(number))
	}
	switch {
	case at.version == 5 && try.alias != nil:
		body = enc.BigEndian.AppendUint16(append(body, 3, harness.PropTopicAlias), *try.alias)
	case at.version == 5:
		body = append(body, 0)
	}
	return harness.Frame(first, append(body, fmt.Sprintf("%-*d", try.size, number)...))
}

// releases are the PUBRELs that the second half of QoS 2 needs.
func releases(came []harness.Packet) []byte {
	var sent []byte
	for _, p := range came {
		if p.Kind == harness.TypePubrec {
			sent = append(sent, harness.Acknowledgement(p)...)
		}
	}
	return sent
}

// answerTo picks what was said about one message, or about the whole connection.
func answerTo(id uint16, came []harness.Packet) []harness.Packet {
	return slices.DeleteFunc(came, func(p harness.Packet) bool { return p.Kind != harness.TypeDisconnect && p.ID() != id })
}
