// Package authhook is the gate of an MQTT broker built on mochi-mqtt/server: a hook that lets in who presents a valid access token
// and holds every session to the topic grants of its token for as long as it lives.
//
// A CONNECT carries the token as its password, or (MQTT 5.0) as Authentication Data. Before anything happens to an existing session
// the hook checks the token, that its client is active, that the MQTT client ID is the client's to use, that no other client owns
// the session, and that the will is inside the grants. From then on each PUBLISH, SUBSCRIBE, delivery and will is judged again, a
// session ends when its token expires, and Close and CloseClient end sessions at once. A device learns only a reason code; which
// rule refused what goes to the log and to Config.Observer.
//
// The hook can be attached to any mochi server, beside any other hooks: mochi asks all hooks and takes one yes for an answer, so
// this one does not rely on being asked. It refuses in OnConnect, takes refused filters out of a SUBSCRIBE before mochi sees them,
// and has the last word in OnPublish and, over what is written to a client, in OnPacketEncode. A hook that permits everything widens
// nothing. Add it before hooks that store or count, so that they see its corrections.
//
// Three packages meet here and nowhere else: accesstoken (what is a valid token), topicacl (what a scope grants) and mochi (what
// arrives on the wire). The package must not know who issues tokens, where clients are stored, or how the broker listens.
package authhook
