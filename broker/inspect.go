package broker

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What mochi decodes leniently, refuses without a word, or panics over is judged
// here first, with one of two answers (MQTT 5 §4.13.1).
var (
	errMalformed error = packets.ErrMalformedPacket
	errProtocol  error = packets.ErrProtocolViolation
)

// connectVersion is the protocol level of a CONNECT (MQTT 5 §3.1.2.2).
func connectVersion(content []byte) byte {
	r := reader{rest: content}
	r.binary()
	return r.byte()
}

// contentNeeded is how many bytes of a packet are needed to judge it, as far as
// its beginning tells: of a PUBLISH all but the payload.
func contentNeeded(version, first byte, content []byte) uint32 {
	if first>>4 != packets.Publish {
		return math.MaxUint32
	}
	if len(content) < 2 {
		return 2
	}
	n := 2 + int(binary.BigEndian.Uint16(content))
	if first&0x06 != 0 {
		n += 2
	}
	if version != 5 {
		return uint32(n)
	}
	length := 0
	for i := range maxLengthBytes {
		if len(content) <= n+i {
			return uint32(n + i + 1)
		}
		length |= int(content[n+i]&0x7f) << (7 * i)
		if content[n+i]&0x80 == 0 {
			return uint32(n + i + 1 + length)
		}
	}
	return uint32(n + maxLengthBytes)
}

// inspect judges a packet from a client: its first byte and its content, of a
// PUBLISH without the payload. Versions that mochi refuses are left to it.
func inspect(version, first byte, content []byte) error {
	if version < 3 || version > 5 {
		return nil
	}
	r := reader{rest: content, version: version, kind: first >> 4}
	r.fail(r.kind == packets.Reserved, errMalformed)
	r.fail(r.kind != packets.Publish && first&0x0f != wantedFlags(r.kind), errMalformed)
	r.packet(first)
	r.fail(len(r.rest) > 0, errMalformed)
	return r.err
}

func (r *reader) packet(first byte) {
	switch r.kind {
	case packets.Connect:
		r.connect()
	case packets.Publish:
		r.publish(first)
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		r.packetID()
		r.reason()
	case packets.Subscribe:
		r.subscribe()
	case packets.Unsubscribe:
		r.unsubscribe()
	case packets.Pingreq:
	case packets.Disconnect:
		r.reason()
	case packets.Auth:
		r.fail(r.version < 5 || len(r.rest) == 0, errProtocol)
		r.reason()
	default: // a server's packet
		r.fail(true, errProtocol)
	}
}

// wantedFlags are the low bits of a packet's first byte (MQTT 5 §2.1.3).
func wantedFlags(kind byte) byte {
	switch kind {
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		return 0x02
	default:
		return 0
	}
}

// reader takes a packet's content apart. After an error it reads zeros.
type reader struct {
	rest    []byte
	version byte
	kind    byte
	err     error
}

// fail notes the first error.
func (r *reader) fail(wrong bool, err error) {
	if wrong && r.err == nil {
		r.err, r.rest = err, nil
	}
}

func (r *reader) take(n int) []byte {
	if r.fail(n > len(r.rest), errMalformed); r.err != nil {
		return nil
	}
	p := r.rest[:n]
	r.rest = r.rest[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); len(p) == 1 {
		return p[0]
	}
	return 0
}

func (r *reader) two() uint16 {
	if p := r.take(2); len(p) == 2 {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (r *reader) binary() []byte { return r.take(int(r.two())) }

// text is a UTF-8 encoded string (MQTT 5 §1.5.4).
func (r *reader) text() {
	s := r.binary()
	r.fail(!utf8.Valid(s) || bytes.IndexByte(s, 0) >= 0, errMalformed)
}

// number is a variable byte integer (MQTT 5 §1.5.5).
func (r *reader) number() (n int) {
	for i := range maxLengthBytes {
		b := r.byte()
		n |= int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return n
		}
	}
	r.fail(true, errMalformed)
	return 0
}

// packetID is not zero (MQTT 5 §2.2.1).
func (r *reader) packetID() { r.fail(r.two() == 0, errProtocol) }

// reason is the optional end of an acknowledgement, a DISCONNECT or an AUTH: a
// reason code, and properties after it.
func (r *reader) reason() {
	if r.version < 5 || len(r.rest) == 0 {
		return
	}
	if r.byte(); len(r.rest) > 0 || r.kind == packets.Auth {
		r.properties(r.kind)
	}
}

// connect follows MQTT 5 §3.1 and MQTT 3.1.1 §3.1, where they do not leave the answer to mochi.
func (r *reader) connect() {
	r.binary()
	r.byte()
	flags := r.byte()
	withWill, willQoS := flags&0x04 != 0, flags>>3&0x03
	r.fail(flags&0x01 != 0, errMalformed)
	r.fail(willQoS == 3, errMalformed)
	r.fail(!withWill && flags&0x38 != 0, errMalformed)
	r.two()
	if r.version == 5 {
		r.properties(packets.Connect)
	}
	r.text()
	if withWill {
		if r.version == 5 {
			r.properties(willProperties)
		}
		r.text()
		r.binary()
	}
	if flags&0x80 != 0 {
		r.text()
	}
	if flags&0x40 != 0 {
		r.binary()
	}
}

// publish follows MQTT 5 §3.3.
func (r *reader) publish(first byte) {
	qos := first >> 1 & 0x03
	r.fail(qos == 3, errMalformed)
	r.fail(qos == 0 && first&0x08 != 0, errProtocol) // DUP
	r.text()
	if qos > 0 {
		r.packetID()
	}
	if r.version == 5 {
		r.properties(packets.Publish)
	}
}

// subscribe follows MQTT 5 §3.8 and MQTT 3.1.1 §3.8.
func (r *reader) subscribe() {
	r.packetID()
	if r.version == 5 {
		r.properties(packets.Subscribe)
	}
	r.fail(len(r.rest) == 0, errProtocol)
	for len(r.rest) > 0 {
		r.text()
		options := r.byte()
		r.fail(options&0xc0 != 0 || r.version < 5 && options&0xfc != 0, errMalformed)
		r.fail(options&0x03 == 3, errProtocol)
		r.fail(options>>4&0x03 == 3, errProtocol) // Retain Handling
	}
}

// unsubscribe follows MQTT 5 §3.10.
func (r *reader) unsubscribe() {
	r.packetID()
	if r.version == 5 {
		r.properties(packets.Unsubscribe)
	}
	r.fail(len(r.rest) == 0, errProtocol)
	for len(r.rest) > 0 {
		r.text()
	}
}
