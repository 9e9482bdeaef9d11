package harness

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
	TypeConnack     = 2
	TypePublish     = 3
	TypePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	TypeSuback      = 9
	TypeUnsubscribe = 10
	TypeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	TypeDisconnect  = 14
	TypeAuth        = 15
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
	PropTopicAliasMaximum = 0x22
	PropTopicAlias        = 0x23
	propUser              = 0x26
)

// Packet is a control packet that was read.
type Packet struct {
	Kind    byte
	flags   byte
	id      uint16
	codes   []byte // reason codes, or the return codes of 3.1.1
	present bool   // session present, in a CONNACK
	Topic   string
	Payload string
	Props   Properties
}

// Code is the only reason code of a packet that has one; a packet may leave out success.
func (p Packet) Code() byte {
	if len(p.codes) == 0 {
		return 0
	}
	return p.codes[0]
}

// QoS is that of a PUBLISH.
func (p Packet) QoS() byte { return p.flags >> 1 & 3 }

// Retain tells whether a PUBLISH is marked as retained.
func (p Packet) Retain() bool { return p.flags&1 == 1 }

// Properties are those of a packet that was read, by identifier: texts and numbers.
type Properties struct {
	text   map[byte]string
	Number map[byte]uint32
}

// Hello is a CONNECT packet.
type Hello struct {
	ID, User  string
	Password  string // left out if empty
	Keep      bool   // the session outlives the connection: no clean start, and in 5.0 an expiry after an hour
	Clean     bool   // 5.0: clean start all the same; 3.1.1 cannot say that
	Keepalive uint16
	Method    string // Authentication Method, 5.0
	Data      string // Authentication Data, 5.0
	Aliases   uint16 // Topic Alias Maximum, 5.0
	Will      *Message
	WillDelay uint32 // seconds, 5.0
}

// Message is an application message.
type Message struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
	alias   uint16 // 5.0
}

// Encode writes the packet for a protocol version.
func (h Hello) Encode(version byte) []byte {
	flags := byte(0)
	if !h.Keep || h.Clean && version == 5 {
		flags |= 0x02
	}
	if h.User != "" {
		flags |= 0x80
	}
	if h.Password != "" {
		flags |= 0x40
	}
	if h.Will != nil {
		flags |= 0x04 | h.Will.QoS<<3
		if h.Will.Retain {
			flags |= 0x20
		}
	}
	body := append(Field("MQTT"), version, flags)
	body = enc.BigEndian.AppendUint16(body, h.Keepalive)
	if version == 5 {
		body = append(body, sized(h.properties())...)
	}
	body = append(body, Field(h.ID)...)
	if h.Will != nil {
		if version == 5 {
			body = append(body, sized(enc.BigEndian.AppendUint32([]byte{propWillDelay}, h.WillDelay))...)
		}
		body = append(body, Field(h.Will.Topic)...)
		body = append(body, Field(h.Will.Payload)...)
	}
	if h.User != "" {
		body = append(body, Field(h.User)...)
	}
	if h.Password != "" {
		body = append(body, Field(h.Password)...)
	}
	return Frame(typeConnect<<4, body)
}

func (h Hello) properties() []byte {
	var props []byte
	if h.Keep {
		props = enc.BigEndian.AppendUint32(append(props, propSessionExpiry), 3600)
	}
	if h.Aliases > 0 {
		props = enc.BigEndian.AppendUint16(append(props, PropTopicAliasMaximum), h.Aliases)
	}
	if h.Method != "" {
		props = append(append(props, propAuthMethod), Field(h.Method)...)
	}
	if h.Data != "" {
		props = append(append(props, propAuthData), Field(h.Data)...)
	}
	return props
}

// Encode writes a PUBLISH with this packet identifier.
func (m Message) Encode(version byte, id uint16) []byte {
	flags := m.QoS << 1
	if m.Retain {
		flags |= 1
	}
	body := Field(m.Topic)
	if m.QoS > 0 {
		body = enc.BigEndian.AppendUint16(body, id)
	}
	if version == 5 {
		var props []byte
		if m.alias > 0 {
			props = enc.BigEndian.AppendUint16([]byte{PropTopicAlias}, m.alias)
		}
		body = append(body, sized(props)...)
	}
	return Frame(TypePublish<<4|flags, append(body, m.Payload...))
}

// EncodeSubscribe writes a SUBSCRIBE that asks for the same QoS for all filters.
func EncodeSubscribe(version byte, id uint16, qos byte, filters ...string) []byte {
	body := enc.BigEndian.AppendUint16(nil, id)
	if version == 5 {
		body = append(body, 0)
	}
	for _, filter := range filters {
		body = append(append(body, Field(filter)...), qos)
	}
	return Frame(typeSubscribe<<4|2, body)
}

// encodeAck writes a PUBACK, PUBREC, PUBREL or PUBCOMP that says success.
func encodeAck(kind byte, id uint16) []byte {
	flags := byte(0)
	if kind == typePubrel {
		flags = 2
	}
	return Frame(kind<<4|flags, enc.BigEndian.AppendUint16(nil, id))
}

// Frame puts the fixed header before a packet's body.
func Frame(first byte, body []byte) []byte {
	return append(append([]byte{first}, varint(len(body))...), body...)
}

// Field writes a text or binary field of MQTT: its length in two bytes, then it.
func Field(text string) []byte {
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
func readPacket(r io.ByteReader, read func([]byte) error, version byte) (Packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return Packet{}, err
	}
	length, err := enc.ReadUvarint(r)
	if err != nil {
		return Packet{}, fmt.Errorf("reading the length of a packet of type %d: %w", first>>4, err)
	}
	body := make([]byte, length)
	if err := read(body); err != nil {
		return Packet{}, fmt.Errorf("reading a packet of type %d: %w", first>>4, err)
	}
	p := Packet{Kind: first >> 4, flags: first & 0x0f}
	d := decoder{rest: body}
	p.decode(&d, version)
	if d.torn {
		return p, fmt.Errorf("a packet of type %d is torn: % x", p.Kind, body)
	}
	return p, nil
}

// decode reads the body of a packet.
func (p *Packet) decode(d *decoder, version byte) {
	switch p.Kind {
	case TypeConnack:
		p.present = d.byte() == 1
		p.codes = []byte{d.byte()}
		p.Props = d.properties(version)
	case TypePublish:
		p.Topic = d.field()
		if p.QoS() > 0 {
			p.id = d.uint16()
		}
		p.Props = d.properties(version)
		p.Payload = string(d.rest)
	case TypePuback, typePubrec, typePubrel, typePubcomp:
		p.id = d.uint16()
		if len(d.rest) > 0 {
			p.codes = []byte{d.byte()}
			p.Props = d.properties(version)
		}
	case TypeSuback, TypeUnsuback:
		p.id = d.uint16()
		p.Props = d.properties(version)
		p.codes = d.rest
	case TypeDisconnect, TypeAuth:
		if len(d.rest) > 0 {
			p.codes = []byte{d.byte()}
			p.Props = d.properties(version)
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
func (d *decoder) properties(version byte) Properties {
	p := Properties{text: map[byte]string{}, Number: map[byte]uint32{}}
	if version != 5 || len(d.rest) == 0 {
		return p
	}
	length, n := enc.Uvarint(d.rest)
	d.take(max(n, 1))
	inner := decoder{rest: d.take(int(length))}
	for len(inner.rest) > 0 && !inner.torn {
		switch id := inner.byte(); id {
		case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			p.Number[id] = uint32(inner.byte())
		case 0x13, propReceiveMaximum, PropTopicAliasMaximum, PropTopicAlias:
			p.Number[id] = uint32(inner.uint16())
		case propMessageExpiry, propSessionExpiry, propWillDelay, 0x27:
			p.Number[id] = inner.uint32()
		case 0x0b:
			value, n := enc.Uvarint(inner.rest)
			inner.take(max(n, 1))
			p.Number[id] = uint32(value)
		case propUser:
			p.text[id] = inner.field() + "=" + inner.field()
		default:
			p.text[id] = inner.field()
		}
	}
	d.torn = d.torn || inner.torn
	return p
}
