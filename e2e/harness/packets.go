package harness

import (
	"bufio"
	enc "encoding/binary"
	"io"
)

// What a test needs that has goroutines of its own read packets, where no Wire can end the test.

// Further packet types (MQTT 5.0 §2.1.2).
const (
	TypePubrec   = typePubrec
	TypePubcomp  = typePubcomp
	TypePingresp = typePingresp
)

// ID is the packet identifier of a PUBLISH, of its acknowledgements, of a SUBACK or UNSUBACK.
func (p Packet) ID() uint16 { return p.id }

// Codes are all reason codes of a packet.
func (p Packet) Codes() []byte { return p.codes }

// ReadPacket reads one packet that a server of this version has sent.
func ReadPacket(in *bufio.Reader, version byte) (Packet, error) {
	return readPacket(in, func(b []byte) error { _, err := io.ReadFull(in, b); return err }, version)
}

// Acknowledgement is the packet that a receiver has to answer this one with, nil if none.
func Acknowledgement(p Packet) []byte {
	switch {
	case p.Kind == TypePublish && p.QoS() == 1:
		return encodeAck(TypePuback, p.id)
	case p.Kind == TypePublish && p.QoS() == 2:
		return encodeAck(typePubrec, p.id)
	case p.Kind == typePubrel:
		return encodeAck(typePubcomp, p.id)
	case p.Kind == typePubrec && p.Code() < 0x80:
		return encodeAck(typePubrel, p.id)
	}
	return nil
}

// EncodePing writes a PINGREQ.
func EncodePing() []byte { return []byte{typePingreq << 4, 0} }

// EncodeDisconnect writes the DISCONNECT of a client that leaves in order.
func EncodeDisconnect() []byte { return []byte{TypeDisconnect << 4, 0} }

// EncodeUnsubscribe writes an UNSUBSCRIBE.
func EncodeUnsubscribe(version byte, id uint16, filters ...string) []byte {
	body := enc.BigEndian.AppendUint16(nil, id)
	if version == 5 {
		body = append(body, 0)
	}
	for _, filter := range filters {
		body = append(body, Field(filter)...)
	}
	return Frame(TypeUnsubscribe<<4|2, body)
}

// Present says whether a CONNACK has found a session.
func (p Packet) Present() bool { return p.present }
