// Package authhook is the gate of an MQTT broker built on mochi-mqtt/server: a hook that lets in who presents a valid access token
// and holds every session to the topic grants of its token, and to what its client holds, for as long as it lives.
//
// A CONNECT carries the token as its password, or (MQTT 5.0) as Authentication Data. Before anything happens to an existing session
// the hook checks the token, that it was not revoked and is not bound to another connection (RFC 8705), that its client is active, that
// the MQTT client ID is the client's to use, that no other client owns the session, and that the will is inside the grants. From then
// on each PUBLISH, SUBSCRIBE, delivery and will is judged again. A session ends when its token expires, unless the client renews it
// with AUTH (MQTT 5.0 §4.12.1): it is then held to the new token as if it had connected with it. A device learns only a reason code;
// which rule refused what goes to the log and to Config.Observer.
//
// Rights follow the operator's hand: Revoke ends sessions, Rejudge asks ClientStatus anew and takes away what is not covered any
// longer, Close ends one session without prejudice. All three reach sessions that are connecting, connected, offline or restored from
// a store, answer with a Receipt, and need nobody's cooperation: the registry of sessions is the hook's own, and a client that does not
// read is cut off. Where it cannot be told how a client stands nothing is allowed and nothing is taken away.
//
// Tokens of several issuers may be accepted side by side (Config.Issuers). A session belongs to its principal, the client of one
// issuer; clients of two issuers are never taken for one another, whatever their names.
//
// What a principal uses is bounded by Limits, over all its sessions: how often it connects, how much it publishes, subscribes and has
// retained. Failed authentications are metered by network address, never by a name that a stranger can claim. Explain answers why
// something is allowed or refused, by the same checks and without changing anything.
//
// The hook can be attached to any mochi server, beside any other hooks: mochi asks all hooks and takes one yes for an answer, so
// this one does not rely on being asked. It refuses in OnConnect, takes refused filters out of a SUBSCRIBE before mochi sees them,
// and has the last word in OnPublish and, over what is written to a client, in OnPacketEncode. A hook that permits everything widens
// nothing. Add it before hooks that store or count, so that they see its corrections.
//
// Three packages meet here and nowhere else: accesstoken (what is a valid token), topicacl (what a scope grants) and mochi (what
// arrives on the wire). The package must not know who issues tokens, where clients are stored, or how the broker listens.
package authhook
