// Package accesstoken verifies signed JWT access tokens (RFC 9068), strictly.
//
// A Verifier is configured for one issuer and one audience, with an allow-list of algorithms and token types and a KeySet. It
// bounds the token's size first, accepts nothing but the JWS compact serialisation in canonical base64url, allows three header
// parameters, checks the signature before it reads a claim, and refuses what parsers disagree about: duplicate members, claim
// names in another letter case, text that is not UTF-8. Every refusal wraps one of the package's sentinel errors; Rule names it
// for logs and metrics. No error ever holds text of the token.
//
// Where the keys come from is the KeySet's business; StaticKeys holds a fixed set. The package must not know MQTT, scopes' meaning,
// sessions or clients, keeps no state between two tokens, and logs nothing.
package accesstoken
