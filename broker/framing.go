package broker

import "errors"

// Errors of the stream before mochi sees it.
var (
	errNotConnect      = errors.New("the first packet is not a CONNECT")
	errConnectTooLarge = errors.New("the CONNECT packet is too large")
	errLengthTooLong   = errors.New("the remaining length has more than four bytes")
)

const (
	connectByte    = 0x10 // first byte of a CONNECT (MQTT 5 §3.1.1)
	maxLengthBytes = 4    // of a variable byte integer (MQTT 5 §1.5.5)
)

// framing follows the packet boundaries of an inbound stream. It holds what
// mochi does not: the first packet must be a CONNECT of bounded size (mochi
// allocates what a header announces before it looks at anything else), and a
// remaining length has an end.
type framing struct {
	maxConnect uint32
	greeted    bool // the header of the first packet has passed
	inHeader   bool // the packet's type has been read, its length not yet
	lenBytes   int  // bytes of the length read so far
	length     uint32
	body       uint32 // bytes of the packet still to come
}

// check looks at the next bytes of the stream.
func (f *framing) check(p []byte) error {
	for len(p) > 0 {
		if f.body > 0 {
			n := min(uint32(len(p)), f.body)
			f.body -= n
			p = p[n:]
			continue
		}
		if err := f.header(p[0]); err != nil {
			return err
		}
		p = p[1:]
	}
	return nil
}

// header takes one byte of a fixed header.
func (f *framing) header(b byte) error {
	if !f.inHeader {
		if !f.greeted && b != connectByte {
			return errNotConnect
		}
		f.inHeader, f.lenBytes, f.length = true, 0, 0
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
	if !f.greeted && f.length > f.maxConnect {
		return errConnectTooLarge
	}
	f.greeted, f.inHeader, f.body = true, false, f.length
	return nil
}
