package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

const (
	malformed = 0x81
	protocol  = 0x82
)

// badPackets are packets that a connected client may not send, by what is wrong
// with them, with the reason code that MQTT 5 has for it.
var badPackets = []struct {
	wrong  string
	packet string
	code   byte
}{
	{"packet type 0", "\x00\x00", malformed},
	{"a server's packet: CONNACK", "\x20\x02\x00\x00", protocol},
	{"a server's packet: SUBACK", "\x90\x04\x00\x01\x00\x00", protocol},
	{"a server's packet: PINGRESP", "\xD0\x00", protocol},

	{"PUBLISH with QoS 3", "\x36\x06\x00\x01a\x00\x01\x00", malformed},
	{"PUBLISH with QoS 0 and DUP", "\x38\x04\x00\x01a\x00", protocol},
	{"PUBLISH with packet identifier 0", "\x32\x06\x00\x01a\x00\x00\x00", protocol},
	{"PUBLISH with a topic beyond its end", "\x30\x04\x00\x09a\x00", malformed},
	{"PUBLISH with a topic that is not UTF-8", "\x30\x04\x00\x01\xff\x00", malformed},
	{"PUBLISH with NUL in its topic", "\x30\x04\x00\x01\x00\x00", malformed},
	{"PUBLISH without properties", "\x30\x03\x00\x01a", malformed},
	{"PUBLISH with an unknown property", "\x30\x06\x00\x01a\x02\x7f\x00", malformed},
	{"PUBLISH with a property of a CONNECT", "\x30\x07\x00\x01a\x03\x21\x00\x09", malformed},
	{"PUBLISH with a property twice", "\x30\x08\x00\x01a\x04\x01\x00\x01\x00", protocol},
	{"PUBLISH with a property beyond the properties", "\x30\x08\x00\x01a\x02\x02\x00\x00\x00", malformed},
	{"PUBLISH with a flag of 2", "\x30\x06\x00\x01a\x02\x01\x02", protocol},

	{"PUBACK with flags", "\x41\x02\x00\x01", malformed},
	{"PUBACK with packet identifier 0", "\x40\x02\x00\x00", protocol},
	{"PUBACK of one byte", "\x40\x01\x00", malformed},
	{"PUBREC with flags", "\x52\x02\x00\x01", malformed},
	{"PUBREL without its flags", "\x60\x02\x00\x01", malformed},
	{"PUBREL with packet identifier 0", "\x62\x02\x00\x00", protocol},
	{"PUBREL with more than its properties", "\x62\x05\x00\x01\x00\x00\x00", malformed},
	{"PUBCOMP with flags", "\x74\x02\x00\x01", malformed},

	{"SUBSCRIBE without its flags", "\x80\x07\x00\x09\x00\x00\x01a\x00", malformed},
	{"SUBSCRIBE with packet identifier 0", "\x82\x07\x00\x00\x00\x00\x01a\x00", protocol},
	{"SUBSCRIBE with the first reserved bit", "\x82\x07\x00\x09\x00\x00\x01a\x40", malformed},
	{"SUBSCRIBE with the second reserved bit", "\x82\x07\x00\x09\x00\x00\x01a\x80", malformed},
	{"SUBSCRIBE with a reserved bit in its second filter", "\x82\x0b\x00\x09\x00\x00\x01a\x00\x00\x01b\x41", malformed},
	{"SUBSCRIBE with QoS 3", "\x82\x07\x00\x09\x00\x00\x01a\x03", protocol},
	{"SUBSCRIBE with Retain Handling 3", "\x82\x07\x00\x09\x00\x00\x01a\x30", protocol},
	{"SUBSCRIBE without options", "\x82\x06\x00\x09\x00\x00\x01a", malformed},
	{"SUBSCRIBE without filters", "\x82\x03\x00\x09\x00", protocol},
	{"SUBSCRIBE with subscription identifier 0", "\x82\x09\x00\x09\x02\x0b\x00\x00\x01a\x00", protocol},

	{"UNSUBSCRIBE without its flags", "\xA0\x06\x00\x09\x00\x00\x01a", malformed},
	{"UNSUBSCRIBE with other flags", "\xA3\x06\x00\x09\x00\x00\x01a", malformed},
	{"UNSUBSCRIBE with packet identifier 0", "\xA2\x06\x00\x00\x00\x00\x01a", protocol},
	{"UNSUBSCRIBE without filters", "\xA2\x03\x00\x09\x00", protocol},
	{"UNSUBSCRIBE with half a filter", "\xA2\x05\x00\x09\x00\x00\x01", malformed},

	{"PINGREQ with flags", "\xC1\x00", malformed},
	{"PINGREQ with content", "\xC0\x01\x00", malformed},
	{"DISCONNECT with flags", "\xE1\x00", malformed},
	{"DISCONNECT with a property of a CONNACK", "\xE0\x04\x00\x02\x1c\x00", malformed},
	{"AUTH without a reason", "\xF0\x00", protocol},
	{"AUTH without properties", "\xF0\x01\x19", malformed},
	{"a length of five bytes", "\xC0\x80\x80\x80\x80\x00", malformed},
}

func TestP1_AMalformedPacketIsAnsweredAsMQTT5Says(t *testing.T) {
	t.Parallel()
	r := start(t)
	witness, _ := r.connect("witness")
	witness.subscribe("#", 0)
	for i, tt := range badPackets {
		t.Run(tt.wrong, func(t *testing.T) {
			t.Parallel()
			c := r.dial()
			c.tb = t
			c.connect(fmt.Sprint("c", i), v5)
			_, err := c.Write([]byte(tt.packet))
			must(t, err)
			got := c.expectEnd()
			if len(got) != 1 || got[0].FixedHeader.Type != packets.Disconnect || got[0].ReasonCode != tt.code {
				t.Errorf("answered with %+v, want DISCONNECT 0x%02x", got, tt.code)
			}
		})
	}
	t.Cleanup(func() {
		if log := r.log.String(); strings.Contains(log, "panic") {
			t.Errorf("a packet reached mochi: %s", log)
		}
	})
}

func TestP1_AMalformedPacketEndsA311ConnectionWithoutAWord(t *testing.T) {
	t.Parallel()
	r := start(t)
	for wrong, packet := range map[string]string{
		"PUBLISH with QoS 3":                  "\x36\x05\x00\x01a\x00\x01",
		"PUBLISH with packet identifier 0":    "\x32\x05\x00\x01a\x00\x00",
		"PUBREL without its flags":            "\x60\x02\x00\x01",
		"PUBACK with a reason":                "\x40\x03\x00\x01\x00",
		"SUBSCRIBE with No Local":             "\x82\x06\x00\x09\x00\x01a\x04",
		"SUBSCRIBE with QoS 3":                "\x82\x06\x00\x09\x00\x01a\x03",
		"UNSUBSCRIBE with its properties":     "\xA2\x06\x00\x09\x00\x00\x01a",
		"UNSUBSCRIBE without its flags":       "\xA0\x05\x00\x09\x00\x01a",
		"AUTH, which 3.1.1 has not":           "\xF0\x02\x18\x00",
		"DISCONNECT with a reason":            "\xE0\x01\x00",
		"a packet larger than the broker has": "\x30\xff\xff\xff\x7f",
	} {
		c, _ := r.connect("c")
		_, err := c.Write([]byte(packet))
		must(t, err)
		if got := c.expectEnd(); len(got) != 0 {
			t.Errorf("%s: answered with %+v", wrong, got)
		}
	}
}

func TestP1_AMalformedConnectIsAnsweredAsMQTT5Says(t *testing.T) {
	t.Parallel()
	r := start(t)
	connect := func(version, flags byte, rest string) string {
		body := "\x00\x04MQTT" + string([]byte{version, flags}) + "\x00\x3c" + rest
		return string([]byte{0x10, byte(len(body))}) + body
	}
	for wrong, tt := range map[string]struct {
		packet string
		code   byte
	}{
		"the reserved flag":                {connect(5, 0x03, "\x00\x00\x01c"), malformed},
		"will QoS 3":                       {connect(5, 0x1e, "\x00\x00\x01c\x00\x00\x01w\x00\x01x"), malformed},
		"a will QoS without a will":        {connect(5, 0x0a, "\x00\x00\x01c"), malformed},
		"a retained will without a will":   {connect(5, 0x22, "\x00\x00\x01c"), malformed},
		"half a will":                      {connect(5, 0x06, "\x00\x00\x01c\x00\x00\x01w"), malformed},
		"no password after all":            {connect(5, 0x42, "\x00\x00\x01c"), malformed},
		"something after the password":     {connect(5, 0x42, "\x00\x00\x01c\x00\x01p!"), malformed},
		"a user name that is not UTF-8":    {connect(5, 0x82, "\x00\x00\x01c\x00\x01\xff"), malformed},
		"two authentication methods":       {connect(5, 0x02, "\x08\x15\x00\x01a\x15\x00\x01b\x00\x01c"), protocol},
		"Receive Maximum 0":                {connect(5, 0x02, "\x03\x21\x00\x00\x00\x01c"), protocol},
		"Maximum Packet Size 0":            {connect(5, 0x02, "\x05\x27\x00\x00\x00\x00\x00\x01c"), protocol},
		"a property of a PUBLISH":          {connect(5, 0x02, "\x02\x01\x00\x00\x01c"), malformed},
		"an unknown property":              {connect(5, 0x02, "\x05\x7f\x00\x00\x00\x01\x00\x01c"), malformed},
		"3.1.1: the reserved flag":         {connect(4, 0x03, "\x00\x01c"), 0},
		"3.1.1: will QoS 3":                {connect(4, 0x1e, "\x00\x01c\x00\x01w\x00\x01x"), 0},
		"3.1.1: something after the ID":    {connect(4, 0x02, "\x00\x01c!"), 0},
		"3.1.1: a will QoS without a will": {connect(4, 0x0a, "\x00\x01c"), 0},
	} {
		c := r.dial()
		c.version = 5
		_, err := c.Write([]byte(tt.packet))
		must(t, err)
		got := c.expectEnd()
		switch {
		case tt.code == 0 && len(got) != 0:
			t.Errorf("%s: answered with %+v", wrong, got)
		case tt.code != 0 && (len(got) != 1 || got[0].FixedHeader.Type != packets.Connack || got[0].ReasonCode != tt.code):
			t.Errorf("%s: answered with %+v, want CONNACK 0x%02x", wrong, got, tt.code)
		}
	}
}

func TestP1_WhatCameBeforeAMalformedPacketIsDealtWith(t *testing.T) {
	t.Parallel()
	r := start(t)
	witness, _ := r.connect("witness")
	witness.subscribe("#", 0)
	c, _ := r.connect("c", v5, will("will", "lost", 0))
	_, err := c.Write([]byte("\x32\x07\x00\x01a\x00\x07\x00x" + "\x82\x07\x00\x09\x00\x00\x01a\x40" + "\x30\x05\x00\x01b\x00x"))
	must(t, err)
	got := c.expectEnd()
	if len(got) != 2 || got[0].FixedHeader.Type != packets.Puback || got[1].ReasonCode != malformed {
		t.Errorf("answered with %+v, want PUBACK and DISCONNECT 0x81", got)
	}
	witness.expectMessage("x")
	witness.expectMessage("lost")
	witness.ping()
}

func TestP1_APacketAboveTheLimitIsAnsweredAsMQTT5Says(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxPacketSize: 100}))
	for size, want := range map[int]int{100: 0, 101: 1} { // of the whole packet
		c, _ := r.connect("c", v5)
		c.send(message("a", strings.Repeat("x", size-6), 0))
		if want == 0 {
			c.ping()
			continue
		}
		if got := c.expectEnd(); len(got) != want || got[0].ReasonCode != packets.ErrPacketTooLarge.Code {
			t.Errorf("a packet of %d bytes is answered with %+v, want DISCONNECT 0x95", size, got)
		}
	}
}

// mochi does not read the reason code of a DISCONNECT that has nothing else (MQTT 5 §3.14.2.1).
func TestADisconnectWithNothingButAReasonIsRead(t *testing.T) {
	t.Parallel()
	r := start(t)
	witness, _ := r.connect("witness")
	witness.subscribe("#", 0)
	c, _ := r.connect("c", v5, will("will", "as asked", 0))
	_, err := c.Write([]byte{0xE0, 1, packets.CodeDisconnectWillMessage.Code})
	must(t, err)
	witness.expectMessage("as asked")
}

func TestGoodPacketsArriveInPiecesOfAnySize(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5)
	c.subscribe("a/+", 1)
	pk := message("a/b", strings.Repeat("x", 3000), 1)
	pk.Properties.User = []packets.UserProperty{{Key: "k", Val: strings.Repeat("v", 200)}, {Key: "k", Val: ""}}
	pk.Properties.ContentType, pk.Properties.MessageExpiryInterval = "text/plain", 60
	for piece := range 40 {
		whole := &collector{}
		writer := &raw{Conn: whole, tb: t, version: 5}
		pk.PacketID = c.nextID()
		writer.send(pk)
		for wire := whole.bytes; len(wire) > 0; {
			n := min(piece*piece+1, len(wire))
			_, err := c.Write(wire[:n])
			must(t, err)
			wire = wire[n:]
		}
		var got []byte
		for range 2 { // in either order
			answer := c.next()
			got = append(got, answer.FixedHeader.Type)
			if answer.FixedHeader.Type == packets.Publish {
				c.sendAck(packets.Puback, answer.PacketID)
			}
		}
		if got[0]+got[1] != packets.Publish+packets.Puback {
			t.Fatalf("pieces of %d bytes: got packets %v", piece*piece+1, got)
		}
	}
}
