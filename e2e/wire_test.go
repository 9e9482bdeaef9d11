package e2e_test

import (
	enc "encoding/binary"
	"fmt"
	"io"
)

// The packets of MQTT 3.1.1 and 5.0, as far as the tests need them, written by hand: a client
// library would refuse to send most of what an attacker sends.

// Packet types (MQTT 5.0 §2.1.2).
const (
	typeConnect     = 1
	typeConnack     = 2
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeSuback      = 9
	typeUnsubscribe = 10
	typeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	typeDisconnect  = 14
	typeAuth        = 15
)

// Properties (MQTT 5.0 §2.2.2.2).
const (
	propMessageExpiry     = 0x02
	propSessionExpiry     = 0x11
	propAssignedClientID  = 0x12
	propAuthMethod        = 0x15
	propAuthData          = 0x16
	propWillDelay         = 0x18
	propReasonString      = 0x1f
	propReceiveMaximum    = 0x21
	propTopicAliasMaximum = 0x22
	propTopicAlias        = 0x23
	propUser              = 0x26
)

// packet is a control packet that was read.
type packet struct {
	kind    byte
	flags   byte
	id      uint16
	codes   []byte // reason codes, or the return codes of 3.1.1
	present bool   // session present, in a CONNACK
	topic   string
	payload string
	props   properties
}

// code is the only reason code of a packet that has one; a packet may leave out success.
func (p packet) code() byte {
	if len(p.codes) == 0 {
		return 0
	}
	return p.codes[0]
}

func (p packet) qos() byte    { return p.flags >> 1 & 3 }
func (p packet) retain() bool { return p.flags&1 == 1 }

// properties are those of a packet that was read, by identifier: texts and numbers.
type properties struct {
	text   map[byte]string
	number map[byte]uint32
}

// hello is a CONNECT packet.
type hello struct {
	id, user  string
	password  string // left out if empty
	keep      bool   // the session outlives the connection: no clean start, and in 5.0 an expiry after an hour
	clean     bool   // 5.0: clean start all the same; 3.1.1 cannot say that
	keepalive uint16
	method    string // Authentication Method, 5.0
	data      string // Authentication Data, 5.0
	aliases   uint16 // Topic Alias Maximum, 5.0
	will      *message
	willDelay uint32 // seconds, 5.0
}

// message is an application message.
type message struct {
	topic   string
	payload string
	qos     byte
	retain  bool
	alias   uint16 // 5.0
}

// encode writes the packet for a protocol version.
func (h hello) encode(version byte) []byte {
	flags := byte(0)
	if !h.keep || h.clean && version == 5 {
		flags |= 0x02
	}
	if h.user != "" {
		flags |= 0x80
	}
	if h.password != "" {
		flags |= 0x40
	}
	if h.will != nil {
		flags |= 0x04 | h.will.qos<<3
		if h.will.retain {
			flags |= 0x20
		}
	}
	body := append(field("MQTT"), version, flags)
	body = enc.BigEndian.AppendUint16(body, h.keepalive)
	if version == 5 {
		body = append(body, sized(h.properties())...)
	}
	body = append(body, field(h.id)...)
	if h.will != nil {
		if version == 5 {
			body = append(body, sized(enc.BigEndian.AppendUint32([]byte{propWillDelay}, h.willDelay))...)
		}
		body = append(body, field(h.will.topic)...)
		body = append(body, field(h.will.payload)...)
	}
	if h.user != "" {
		body = append(body, field(h.user)...)
	}
	if h.password != "" {
		body = append(body, field(h.password)...)
	}
	return frame(typeConnect<<4, body)
}

func (h hello) properties() []byte {
	var props []byte
	if h.keep {
		props = enc.BigEndian.AppendUint32(append(props, propSessionExpiry), 3600)
	}
	if h.aliases > 0 {
		props = enc.BigEndian.AppendUint16(append(props, propTopicAliasMaximum), h.aliases)
	}
	if h.method != "" {
		props = append(append(props, propAuthMethod), field(h.method)...)
	}
	if h.data != "" {
		props = append(append(props, propAuthData), field(h.data)...)
	}
	return props
}

// encode writes a PUBLISH with this packet identifier.
func (m message) encode(version byte, id uint16) []byte {
	flags := m.qos << 1
	if m.retain {
		flags |= 1
	}
	body := field(m.topic)
	if m.qos > 0 {
		body = enc.BigEndian.AppendUint16(body, id)
	}
	if version == 5 {
		var props []byte
		if m.alias > 0 {
			props = enc.BigEndian.AppendUint16([]byte{propTopicAlias}, m.alias)
		}
		body = append(body, sized(props)...)
	}
	return frame(typePublish<<4|flags, append(body, m.payload...))
}

// encodeSubscribe writes a SUBSCRIBE that asks for the same QoS for all filters.
func encodeSubscribe(version byte, id uint16, qos byte, filters ...string) []byte {
	body := enc.BigEndian.AppendUint16(nil, id)
	if version == 5 {
		body = append(body, 0)
	}
	for _, filter := range filters {
		body = append(append(body, field(filter)...), qos)
	}
	return frame(typeSubscribe<<4|2, body)
}

// encodeAck writes a PUBACK, PUBREC, PUBREL or PUBCOMP that says success.
func encodeAck(kind byte, id uint16) []byte {
	flags := byte(0)
	if kind == typePubrel {
		flags = 2
	}
	return frame(kind<<4|flags, enc.BigEndian.AppendUint16(nil, id))
}

// frame puts the fixed header before a packet's body.
func frame(first byte, body []byte) []byte {
	return append(append([]byte{first}, varint(len(body))...), body...)
}

// field writes a text or binary field of MQTT: its length in two bytes, then it.
func field(text string) []byte {
	return append(enc.BigEndian.AppendUint16(nil, uint16(len(text))), text...)
}

// sized puts the length of the properties before them.
func sized(props []byte) []byte { return append(varint(len(props)), props...) }

// varint is a variable byte integer (MQTT 5.0 §1.5.5).
func varint(n int) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			b |= 0x80
		}
		out = append(out, b)
		if n == 0 {
			return out
		}
	}
}

// readPacket reads one packet that a server of this version has sent.
func readPacket(r io.ByteReader, read func([]byte) error, version byte) (packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return packet{}, err
	}
	length, err := enc.ReadUvarint(r)
	if err != nil {
		return packet{}, fmt.Errorf("reading the length of a packet of type %d: %w", first>>4, err)
	}
	body := make([]byte, length)
	if err := read(body); err != nil {
		return packet{}, fmt.Errorf("reading a packet of type %d: %w", first>>4, err)
	}
	p := packet{kind: first >> 4, flags: first & 0x0f}
	d := decoder{rest: body}
	p.decode(&d, version)
	if d.torn {
		return p, fmt.Errorf("a packet of type %d is torn: % x", p.kind, body)
	}
	return p, nil
}

// decode reads the body of a packet.
func (p *packet) decode(d *decoder, version byte) {
	switch p.kind {
	case typeConnack:
		p.present = d.byte() == 1
		p.codes = []byte{d.byte()}
		p.props = d.properties(version)
	case typePublish:
		p.topic = d.field()
		if p.qos() > 0 {
			p.id = d.uint16()
		}
		p.props = d.properties(version)
		p.payload = string(d.rest)
	case typePuback, typePubrec, typePubrel, typePubcomp:
		p.id = d.uint16()
		if len(d.rest) > 0 {
			p.codes = []byte{d.byte()}
			p.props = d.properties(version)
		}
	case typeSuback, typeUnsuback:
		p.id = d.uint16()
		p.props = d.properties(version)
		p.codes = d.rest
	case typeDisconnect, typeAuth:
		if len(d.rest) > 0 {
			p.codes = []byte{d.byte()}
			p.props = d.properties(version)
		}
	}
}

// decoder takes fields from the front of a packet's body. A body that ends too early is torn.
type decoder struct {
	rest []byte
	torn bool
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.torn = true
		return make([]byte, n)
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) byte() byte     { return d.take(1)[0] }
func (d *decoder) uint16() uint16 { return enc.BigEndian.Uint16(d.take(2)) }
func (d *decoder) uint32() uint32 { return enc.BigEndian.Uint32(d.take(4)) }
func (d *decoder) field() string  { return string(d.take(int(d.uint16()))) }

// properties reads the properties of a 5.0 packet; one that ends before them has none.
func (d *decoder) properties(version byte) properties {
	p := properties{text: map[byte]string{}, number: map[byte]uint32{}}
	if version != 5 || len(d.rest) == 0 {
		return p
	}
	length, n := enc.Uvarint(d.rest)
	d.take(max(n, 1))
	inner := decoder{rest: d.take(int(length))}
	for len(inner.rest) > 0 && !inner.torn {
		switch id := inner.byte(); id {
		case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			p.number[id] = uint32(inner.byte())
		case 0x13, propReceiveMaximum, propTopicAliasMaximum, propTopicAlias:
			p.number[id] = uint32(inner.uint16())
		case propMessageExpiry, propSessionExpiry, propWillDelay, 0x27:
			p.number[id] = inner.uint32()
		case 0x0b:
			value, n := enc.Uvarint(inner.rest)
			inner.take(max(n, 1))
			p.number[id] = uint32(value)
		case propUser:
			p.text[id] = inner.field() + "=" + inner.field()
		default:
			p.text[id] = inner.field()
		}
	}
	d.torn = d.torn || inner.torn
	return p
}
