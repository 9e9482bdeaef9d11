package harness

// ReAuthenticate is the reason code with which a client renews its token (MQTT 5.0 §3.15.2.1).
const ReAuthenticate = 0x19

// EncodeAuth writes an AUTH packet. Method and data are left out if empty.
func EncodeAuth(code byte, method, data string) []byte {
	var props []byte
	if method != "" {
		props = append(append(props, propAuthMethod), Field(method)...)
	}
	if data != "" {
		props = append(append(props, propAuthData), Field(data)...)
	}
	return Frame(TypeAuth<<4, append([]byte{code}, sized(props)...))
}

// Renew hands in another token on a connection that was opened with this method, and returns the server's answer: an AUTH, or the
// DISCONNECT with which it ends the connection.
func (w *Wire) Renew(method, token string) Packet {
	w.TB.Helper()
	w.Send(EncodeAuth(ReAuthenticate, method, token))
	for {
		switch p, err := w.Read(); {
		case err != nil:
			w.TB.Fatalf("waiting for the answer to a renewal: %v", err)
		case p.Kind == TypeAuth, p.Kind == TypeDisconnect:
			return p
		case p.Kind == TypePublish:
			w.Early = append(w.Early, p)
		default:
			w.TB.Fatalf("a renewal was answered with a packet of type %d", p.Kind)
		}
	}
}

// MustRenew hands in a token that must be accepted.
func (w *Wire) MustRenew(method, token string) Packet {
	w.TB.Helper()
	p := w.Renew(method, token)
	if p.Kind != TypeAuth || p.Code() != 0 {
		w.TB.Fatalf("a renewal was answered with a packet of type %d, code 0x%02x", p.Kind, p.Code())
	}
	return p
}

// UserProperty is the user property that a packet has, as name=value; of several, the last.
func (p Packet) UserProperty() string { return p.Props.text[propUser] }

// AuthMethod is the Authentication Method of a CONNACK or an AUTH.
func (p Packet) AuthMethod() string { return p.Props.text[propAuthMethod] }
