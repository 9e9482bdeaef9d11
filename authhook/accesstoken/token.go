package accesstoken

import "time"

// Token is what a verified access token says. Every call of Verify makes its own, which shares nothing with others.
type Token struct {
	// ID is the claim jti, "" if there is none. What is revoked or counted is this, never the text: signatures are malleable.
	ID string
	// Issuer and Subject are the claims iss and sub; Subject is "" if there is none.
	Issuer, Subject string
	// ClientID is the principal: the claim that Config.ClientIDClaim names. By default that is client_id, and it equals Subject where
	// there is one.
	ClientID string
	// CredentialID is the claim credential_id, which says with which of its credentials the client got the token; "" if there is none.
	CredentialID string
	// KeyID names the key that signed the token.
	KeyID string
	// Audience is the claim aud, of one or more strings.
	Audience []string
	// Thumbprint is the claim cnf with its member x5t#S256 (RFC 8705 §3.1): the token is good only together with the TLS client
	// certificate whose SHA-256 this is, in base64url without padding. "" binds the token to no certificate. Whoever accepts the token
	// checks it; Verify cannot.
	Thumbprint string
	// Scopes are those of the claims scp and scope, without repetition and in order; both claims agree.
	Scopes []string
	// AIF is the claim scope where it is of the Authorization Information Format (RFC 9237, RFC 9431 §2.3): the text of a JSON array of
	// arrays, nothing else about it checked. Scopes is empty then. It is nil otherwise.
	AIF []byte
	// IssuedAt and NotBefore are zero if the token does not say; ExpiresAt is always set.
	IssuedAt, NotBefore, ExpiresAt time.Time
	// Claims are all members of the payload, those above included. Numbers are of type json.Number.
	Claims map[string]any
}
