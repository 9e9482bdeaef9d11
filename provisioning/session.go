package provisioning

import (
	"context"
	"encoding/json"
	"time"
)

// Causes that a SessionCloser, or a SessionJudge, is given.
const (
	CauseDisabled = "client disabled"
	CauseEnabled  = "client enabled"
	CauseDeleted  = "client deleted"
	CauseRotated  = "secrets rotated"
	CauseRetired  = "credential retired"
	CauseRevoked  = "token revoked"
	CauseChanged  = "rights changed"
)

// Selection says whose sessions are meant: those that match in every field that
// is not empty. The zero Selection means none.
type Selection struct {
	ClientID     string
	TokenID      string // the token's jti
	CredentialID string
	KeyID        string // the key that the token is signed with
	Role         string // held by the client
	// IssuedBefore selects tokens whose iat is earlier.
	IssuedBefore time.Time
}

// SessionCloser ends live sessions.
type SessionCloser interface {
	// CloseSessions closes every session that is selected, throws away what it
	// leaves behind (subscriptions, queue, will), and says what that was. Whoever
	// connects while it runs is either closed by it or sees what was written before.
	CloseSessions(ctx context.Context, sel Selection, cause string) Receipt
}

// SessionJudge judges live sessions anew.
type SessionJudge interface {
	// RejudgeSessions takes from every session that is selected what its client
	// may no longer have, and closes those whose client may not connect as they
	// did. Whoever connects while it runs is judged by what was written before.
	RejudgeSessions(ctx context.Context, sel Selection, cause string) Receipt
}

// RetainedRemover removes retained messages.
type RetainedRemover interface {
	// RemoveRetained removes every retained message that the client published
	// last, and returns how many. It may be called again after an error.
	RemoveRetained(ctx context.Context, clientID string) (int, error)
}

// Receipt says what a revocation ended, and how long that took.
type Receipt struct {
	Sessions      int `json:"sessions_closed"`
	Rejudged      int `json:"sessions_rejudged"`
	Subscriptions int `json:"subscriptions_dropped"`
	Queued        int `json:"queued_dropped"`
	Wills         int `json:"wills_cancelled"`
	Retained      int `json:"retained_removed"`
	Secrets       int `json:"secrets_removed"`
	// Took is the time from the call until all of it had ended. In JSON it is
	// took_ms, a number of milliseconds with a fraction.
	Took time.Duration `json:"-"`
}

// plainReceipt has the fields of Receipt and none of its methods.
type plainReceipt Receipt

// receiptJSON adds to the plain fields the one whose form differs in JSON.
type receiptJSON struct {
	*plainReceipt
	TookMS float64 `json:"took_ms"`
}

// MarshalJSON writes the time taken in milliseconds.
func (r Receipt) MarshalJSON() ([]byte, error) {
	return json.Marshal(receiptJSON{(*plainReceipt)(&r), float64(r.Took.Microseconds()) / 1000})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Receipt) UnmarshalJSON(data []byte) error {
	in := receiptJSON{plainReceipt: (*plainReceipt)(r)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	r.Took = time.Duration(in.TookMS * float64(time.Millisecond))
	return nil
}

// add counts what another step ended. The time taken is not added: one call has one.
func (r *Receipt) add(other Receipt) {
	r.Sessions += other.Sessions
	r.Rejudged += other.Rejudged
	r.Subscriptions += other.Subscriptions
	r.Queued += other.Queued
	r.Wills += other.Wills
	r.Retained += other.Retained
	r.Secrets += other.Secrets
}

// closeSessions closes sessions whose rights have ended. The write has happened:
// a caller that has gone away must not keep them open.
func (s *Service) closeSessions(ctx context.Context, sel Selection, cause string) Receipt {
	if s.sessions == nil {
		return Receipt{}
	}
	return s.sessions.CloseSessions(context.WithoutCancel(ctx), sel, cause)
}

// rejudge has sessions judged anew whose rights may have changed.
func (s *Service) rejudge(ctx context.Context, sel Selection, cause string) Receipt {
	if s.judge == nil {
		return Receipt{}
	}
	return s.judge.RejudgeSessions(context.WithoutCancel(ctx), sel, cause)
}
