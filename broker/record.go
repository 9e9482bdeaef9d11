package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mochi-mqtt/server/v2/packets"
)

// errDamagedRecord says that a stored record is not what was written.
var errDamagedRecord = errors.New("damaged record")

// Kinds of records: the first byte of their keys.
const (
	kindRetained     = 'r' // + topic
	kindSession      = 's' // + client ID
	kindSubscription = 'f' // + length of client ID (2 bytes) + client ID + filter
	kindMessage      = 'm' // + length of client ID (2 bytes) + client ID + packet identifier (2 bytes)
)

// kindName names a kind in the log.
func kindName(kind byte) string {
	switch kind {
	case kindRetained:
		return "retained message"
	case kindSession:
		return "session"
	case kindSubscription:
		return "subscription"
	default:
		return "queued message"
	}
}

func retainedKey(topic string) []byte { return append([]byte{kindRetained}, topic...) }

func sessionKey(id string) []byte { return append([]byte{kindSession}, id...) }

func subscriptionKey(id, filter string) []byte {
	return append(ownedPrefix(kindSubscription, id), filter...)
}

func messageKey(id string, packetID uint16) []byte {
	return binary.BigEndian.AppendUint16(ownedPrefix(kindMessage, id), packetID)
}

// ownedPrefix begins the keys of all records of a kind that a session owns. A
// client ID has at most 65,535 bytes (MQTT 5 §1.5.4).
func ownedPrefix(kind byte, id string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(id))), id...)
}

// splitOwned takes a key apart that ownedPrefix began.
func splitOwned(key []byte) (id string, rest []byte, err error) {
	if len(key) < 3 {
		return "", nil, errDamagedRecord
	}
	n := int(binary.BigEndian.Uint16(key[1:3]))
	if len(key) < 3+n {
		return "", nil, errDamagedRecord
	}
	return string(key[3 : 3+n]), key[3+n:], nil
}

// sessionRecord is a session that outlives its connection. It holds nothing
// that authenticates: who resumes the session must prove anew who they are.
type sessionRecord struct {
	Owner        []byte `json:"owner"` // what the auth hook has put in Properties.Username
	Version      byte   `json:"version"`
	Clean        bool   `json:"clean"`
	Expiry       uint32 `json:"expiry"`     // seconds
	ExpirySet    bool   `json:"expiry_set"` // a 5 client without the property has no session to keep
	Listener     string `json:"listener"`
	Disconnected int64  `json:"disconnected"` // Unix seconds; 0 while connected
}

// subscriptionRecord holds a subscription's options (MQTT 5 §3.8.3.1).
type subscriptionRecord struct {
	QoS               byte `json:"qos"`
	NoLocal           bool `json:"no_local,omitempty"`
	RetainAsPublished bool `json:"retain_as_published,omitempty"`
	RetainHandling    byte `json:"retain_handling,omitempty"`
	Identifier        int  `json:"identifier,omitempty"`
}

func subscriptionToRecord(s packets.Subscription) subscriptionRecord {
	return subscriptionRecord{s.Qos, s.NoLocal, s.RetainAsPublished, s.RetainHandling, s.Identifier}
}

func (r subscriptionRecord) subscription(filter string) packets.Subscription {
	return packets.Subscription{
		Filter: filter, Qos: r.QoS, NoLocal: r.NoLocal, RetainAsPublished: r.RetainAsPublished,
		RetainHandling: r.RetainHandling, Identifier: r.Identifier,
	}
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // plain fields only
		panic(fmt.Sprintf("broker: encode record: %v", err))
	}
	return b
}

func decodeJSON(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", errDamagedRecord, err)
	}
	return nil
}

// storedVersion is the MQTT version in whose form packets are stored: it has all properties.
const storedVersion = 5

// encodeMessage writes a packet of a delivery: the publisher's protocol version,
// when it was created and when it expires (Unix seconds), who sent it, and the
// packet as MQTT 5 puts it on the wire.
func encodeMessage(pk packets.Packet) ([]byte, error) {
	rec := []byte{pk.ProtocolVersion}
	rec = binary.AppendVarint(rec, pk.Created)
	rec = binary.AppendVarint(rec, pk.Expiry)
	rec = binary.AppendUvarint(rec, uint64(len(pk.Origin)))
	rec = append(rec, pk.Origin...)

	var wire bytes.Buffer
	pk.ProtocolVersion = storedVersion
	pk.Mods = packets.Mods{AllowResponseInfo: true}
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 0, false
	var err error
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if pk.FixedHeader.Qos > 0 && pk.PacketID == 0 {
			pk.PacketID = 1 // a retained message has none, but the form asks for one
		}
		err = pk.PublishEncode(&wire)
	case packets.Pubrec:
		err = pk.PubrecEncode(&wire)
	case packets.Pubrel:
		err = pk.PubrelEncode(&wire)
	default:
		err = fmt.Errorf("packets of type %d are not stored", pk.FixedHeader.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return append(rec, wire.Bytes()...), nil
}

// decodeMessage reads what encodeMessage wrote.
func decodeMessage(rec []byte) (packets.Packet, error) {
	r := bytes.NewReader(rec)
	version, err0 := r.ReadByte()
	created, err1 := binary.ReadVarint(r)
	expiry, err2 := binary.ReadVarint(r)
	size, err3 := binary.ReadUvarint(r)
	if err := errors.Join(err0, err1, err2, err3); err != nil || size > uint64(r.Len()) {
		return packets.Packet{}, errDamagedRecord
	}
	origin := make([]byte, size)
	if _, err := io.ReadFull(r, origin); err != nil {
		return packets.Packet{}, errDamagedRecord
	}
	pk, err := decodePacket(rec[len(rec)-r.Len():])
	if err != nil {
		return packets.Packet{}, fmt.Errorf("%w: %w", errDamagedRecord, err)
	}
	pk.ProtocolVersion, pk.Created, pk.Expiry, pk.Origin = version, created, expiry, string(origin)
	return pk, nil
}

// owned begins the record of a retained message whose publisher is known. No
// other record begins with it: it is no protocol version.
const owned = 0xff

// encodeRetained writes a retained message: its owner, if it has one, as the mark
// owned, a length and a name, and the message.
func encodeRetained(pk packets.Packet, owner string) ([]byte, error) {
	message, err := encodeMessage(pk)
	if err != nil || owner == "" {
		return message, err
	}
	rec := binary.AppendUvarint([]byte{owned}, uint64(len(owner)))
	return append(append(rec, owner...), message...), nil
}

// decodeRetained reads what encodeRetained wrote. Records of format 1 have no owner.
func decodeRetained(rec []byte) (pk packets.Packet, owner string, err error) {
	if len(rec) > 0 && rec[0] == owned {
		size, n := binary.Uvarint(rec[1:])
		if n <= 0 || size > uint64(len(rec)-1-n) {
			return packets.Packet{}, "", errDamagedRecord
		}
		rec = rec[1+n:]
		owner, rec = string(rec[:size]), rec[size:]
	}
	pk, err = decodeMessage(rec)
	return pk, owner, err
}

// decodePacket reads one whole packet in MQTT 5's wire form.
func decodePacket(wire []byte) (packets.Packet, error) {
	pk := packets.Packet{ProtocolVersion: storedVersion}
	if len(wire) < 2 {
		return pk, io.ErrUnexpectedEOF
	}
	if err := pk.FixedHeader.Decode(wire[0]); err != nil {
		return pk, err
	}
	body := bytes.NewReader(wire[1:])
	length, _, err := packets.DecodeLength(body)
	if err != nil {
		return pk, err
	}
	if length != body.Len() {
		return pk, io.ErrUnexpectedEOF
	}
	pk.FixedHeader.Remaining = length
	content := bytes.Clone(wire[len(wire)-length:])
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return pk, pk.PublishDecode(content)
	case packets.Pubrec:
		return pk, pk.PubrecDecode(content)
	case packets.Pubrel:
		return pk, pk.PubrelDecode(content)
	default:
		return pk, fmt.Errorf("packets of type %d are not stored", pk.FixedHeader.Type)
	}
}
