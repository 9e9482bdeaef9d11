// Package accesstoken verifies signed JWT access tokens (RFC 9068), strictly.
//
// A Verifier is configured for one issuer and one audience, with an allow-list of algorithms and token types and a KeySet. It
// bounds the token's size first, accepts nothing but the JWS compact serialisation in canonical base64url, allows three header
// parameters, checks the signature before it reads a claim, and refuses what parsers disagree about: duplicate members, claim
// names in another letter case, text that is not UTF-8. Every refusal wraps one of the package's sentinel errors; Rule names it
// for logs and metrics. No error ever holds text of the token.
//
// Where the keys come from is the KeySet's business: StaticKeys holds a fixed set, RemoteKeys fetches an issuer's JWK set and keeps it.
// Issuers puts the Verifiers of several issuers together. The examples are recipes for the issuers that people have.
//
// The package must not know MQTT, scopes' meaning, sessions or clients. A Verifier keeps no state between two tokens and logs
// nothing; RemoteKeys keeps its set and tells its logger what becomes of it.
package accesstoken
