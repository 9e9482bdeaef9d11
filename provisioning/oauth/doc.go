// Package oauth is the authorization server's HTTP face: the token endpoint (RFC 6749, client credentials grant, with
// secrets or, by RFC 8705, with TLS certificates), the server metadata (RFC 8414) and the JWK Set.
//
// It decides which audience and scopes a token may carry; who a client is, what it holds, how scopes compare and how a
// token is signed are asked of others, through the small interfaces of [Config]. It must not know the store, signing
// keys, MQTT or topics.
//
// What goes to the client and what goes to the operator are two things. A client gets the code and the description of
// RFC 6749 §5.2: fixed texts that never repeat what it sent. The operator gets, in the log and in an [Event], a stable
// reason, the request's ID, and the client ID if it has the form of one; never a secret, a token or a raw string.
package oauth
