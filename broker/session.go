package broker

import (
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// session is what the broker knows of an MQTT session, which may outlive many connections.
type session struct {
	backlog  backlog
	inbound  inboundIDs
	heritage heritage
}

// ownedBy reports whether the session is this client's, and not of one that has resumed it.
func (s *session) ownedBy(cl *mqtt.Client) bool { return s.heritage.owner.Load() == cl }

// sessions finds the session of a mochi client, connected or not. One whose
// session has passed to another still finds it for a while.
type sessions struct {
	limit    int64    // bytes that may wait for one session
	byClient sync.Map // *mqtt.Client -> *session
}

func (ss *sessions) find(cl *mqtt.Client) *session {
	v, ok := ss.byClient.Load(cl)
	if !ok {
		return nil
	}
	s, _ := v.(*session)
	return s
}

// of is the session of a client that owns one, or nil.
func (ss *sessions) of(cl *mqtt.Client) *session {
	if s := ss.find(cl); s != nil && s.ownedBy(cl) {
		return s
	}
	return nil
}

// begin gives a client a new session.
func (ss *sessions) begin(cl *mqtt.Client) *session {
	s := &session{backlog: backlog{limit: ss.limit}}
	s.heritage.owner.Store(cl)
	ss.byClient.Store(cl, s)
	return s
}

// pass gives a client the session of another.
func (ss *sessions) pass(from, to *mqtt.Client) *session {
	s := ss.of(from)
	if s == nil {
		return ss.begin(to)
	}
	ss.byClient.Store(to, s)
	s.heritage.pass(to)
	return s
}

// end takes a client's session away; it is over if the client owns it.
func (ss *sessions) end(cl *mqtt.Client) {
	if s := ss.find(cl); s != nil {
		s.heritage.owner.CompareAndSwap(cl, nil)
		ss.byClient.Delete(cl)
	}
}

// sweep ends the sessions of clients that an attached hook has taken out of mochi's table.
func (ss *sessions) sweep(clients *mqtt.Clients) {
	ss.byClient.Range(func(key, _ any) bool {
		cl, _ := key.(*mqtt.Client)
		if current, ok := clients.Get(cl.ID); cl.Closed() && (!ok || current != cl) {
			ss.end(cl)
		}
		return true
	})
}
