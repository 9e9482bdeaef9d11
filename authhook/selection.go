package authhook

import (
	"slices"
	"time"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// Selection says which sessions are meant: those for which all its members hold. An empty member holds for all sessions, but Issuer;
// the zero Selection means none. It is plain data, fit to be sent to other machines.
type Selection struct {
	// Issuer is the Name of the issuer, empty for one's own.
	Issuer string
	// ClientID is the client ID of the token.
	ClientID string
	// TokenID, CredentialID and KeyID are those of the token that the session was opened or renewed with. A session that was
	// restored from a store has none.
	TokenID, CredentialID, KeyID string
	// Role is one of the roles that the client had when it was last asked about.
	Role string
	// IssuedBefore holds for tokens that were issued before that time, or do not say when, and for sessions without a token.
	IssuedBefore time.Time
}

// Receipt says what was taken away.
type Receipt struct {
	// Sessions counts those that were ended, connected ones and stored ones.
	Sessions int
	// Rejudged counts the sessions whose rights were asked for again and that live on.
	Rejudged int
	// Subscriptions counts those that ended sessions had, and those that the others may not have any longer.
	Subscriptions int
	// Queued counts the messages that waited for such sessions and are gone.
	Queued int
	// Wills counts those that will not be published for want of the right.
	Wills int
	// Took is how long it all took, until every client that reads was told.
	Took time.Duration
}

func (r *Receipt) add(other Receipt) {
	r.Sessions += other.Sessions
	r.Rejudged += other.Rejudged
	r.Subscriptions += other.Subscriptions
	r.Queued += other.Queued
	r.Wills += other.Wills
}

func (sel Selection) isZero() bool {
	unbounded := sel.IssuedBefore.IsZero()
	sel.IssuedBefore = time.Time{} // a zero time may have a location, and differ
	return unbounded && sel == Selection{}
}

// means reports whether a session is meant. A token that it is being renewed with counts as its own.
func (sel Selection) means(s *session) bool {
	if sel.isZero() || sel.Issuer != s.issuer || sel.ClientID != "" && sel.ClientID != s.clientID {
		return false
	}
	candidate := s.candidate.Load() // first: once it is gone the standing has its token
	st := s.standing.Load()
	if sel.Role != "" && !slices.Contains(st.roles, sel.Role) {
		return false
	}
	return sel.meansToken(st.token) || candidate != nil && sel.meansToken(candidate)
}

func (sel Selection) meansToken(token *accesstoken.Token) bool {
	if token == nil {
		return sel.TokenID == "" && sel.CredentialID == "" && sel.KeyID == ""
	}
	return (sel.TokenID == "" || sel.TokenID == token.ID) &&
		(sel.CredentialID == "" || sel.CredentialID == token.CredentialID) &&
		(sel.KeyID == "" || sel.KeyID == token.KeyID) &&
		(sel.IssuedBefore.IsZero() || token.IssuedAt.Before(sel.IssuedBefore))
}
