package accesstoken

import "time"

// Token is what a verified access token says. Every call of Verify makes its own, which shares nothing with others.
type Token struct {
	// ID is the claim jti, "" if there is none. What is revoked or counted is this, never the text: signatures are malleable.
	ID string
	// Issuer and Subject are the claims iss and sub; Subject is "" if there is none.
	Issuer, Subject string
	// ClientID is the claim client_id: the principal. It equals Subject where there is one.
	ClientID string
	// KeyID names the key that signed the token.
	KeyID string
	// Audience is the claim aud, of one or more strings.
	Audience []string
	// Scopes are those of the claims scp and scope, without repetition and in order; both claims agree.
	Scopes []string
	// IssuedAt and NotBefore are zero if the token does not say; ExpiresAt is always set.
	IssuedAt, NotBefore, ExpiresAt time.Time
	// Claims are all members of the payload, those above included. Numbers are of type json.Number.
	Claims map[string]any
}
