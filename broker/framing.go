package broker

import (
	"errors"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Errors of the stream before mochi sees it. Where it is a packets.Code, an MQTT 5
// client is told.
var (
	errNotConnect            = errors.New("the first packet is not a CONNECT")
	errConnectTooLarge       = errors.New("the CONNECT packet is too large")
	errLengthTooLong   error = packets.ErrMalformedVariableByteInteger // more than four bytes
)

const (
	connectByte    = 0x10 // first byte of a CONNECT (MQTT 5 §3.1.1)
	maxLengthBytes = 4    // of a variable byte integer (MQTT 5 §1.5.5)
)

// framing follows the packet boundaries of an inbound stream. It holds what
// mochi does not: the first packet must be a CONNECT of bounded size (mochi
// allocates what a header announces before it looks at anything else), a
// remaining length has an end, and a packet is what the standard says.
type framing struct {
	maxConnect uint32
	maxPacket  uint32                                          // bytes of a packet; 0: no bound
	inspect    func(version, first byte, content []byte) error // judges a packet; nil accepts all

	version  byte // of MQTT, as the CONNECT says; 0 before
	parting  byte // reason code of a DISCONNECT without properties, which mochi does not read
	greeted  bool // the header of the first packet has passed
	inHeader bool // the packet's type has been read, its length not yet
	first    byte // of the packet under way
	lenBytes int  // bytes of the length read so far
	length   uint32
	body     uint32 // bytes of the packet still to come

	content   []byte // the beginning of the packet, as far as inspect wants it
	inspected bool   // it has been judged
}

// check looks at the next bytes of the stream. With an error it says where in
// them the packet begins that must not go on.
func (f *framing) check(p []byte) (good int, err error) {
	for at := 0; at < len(p); {
		if f.body == 0 && !f.inHeader {
			good = at
		}
		n := 1
		if f.body > 0 {
			n = int(min(uint32(len(p)-at), f.body))
			f.body -= uint32(n)
			err = f.look(p[at : at+n])
		} else {
			err = f.header(p[at])
		}
		if err != nil {
			return good, err
		}
		at += n
	}
	return len(p), nil
}

// header takes one byte of a fixed header.
func (f *framing) header(b byte) error {
	if !f.inHeader {
		if !f.greeted && b != connectByte {
			return errNotConnect
		}
		f.inHeader, f.lenBytes, f.length, f.first = true, 0, 0, b
		return nil
	}
	f.length |= uint32(b&0x7f) << (7 * f.lenBytes)
	f.lenBytes++
	if b&0x80 != 0 {
		if f.lenBytes == maxLengthBytes {
			return errLengthTooLong
		}
		return nil
	}
	switch size := 1 + uint32(f.lenBytes) + f.length; {
	case !f.greeted && f.length > f.maxConnect:
		return errConnectTooLarge
	case f.maxPacket > 0 && size > f.maxPacket:
		return packets.ErrPacketTooLarge
	}
	f.greeted, f.inHeader, f.body = true, false, f.length
	f.content, f.inspected = f.content[:0], f.inspect == nil
	return f.look(nil)
}

// look takes bytes of a packet's content, and judges the packet once it has seen
// what it needs.
func (f *framing) look(p []byte) error {
	for !f.inspected {
		missing := int(min(contentNeeded(f.version, f.first, f.content), f.length)) - len(f.content)
		if missing > len(p) {
			f.content = append(f.content, p...)
			return nil
		}
		if missing > 0 {
			f.content = append(f.content, p[:missing]...)
			p = p[missing:]
			continue
		}
		if f.first == connectByte {
			f.version = connectVersion(f.content)
		}
		if f.first>>4 == packets.Disconnect && len(f.content) == 1 {
			f.parting = f.content[0]
		}
		f.inspected = true
		return f.inspect(f.version, f.first, f.content)
	}
	return nil
}
