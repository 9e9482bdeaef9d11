package authhook

import (
	"context"
	"slices"
	"time"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
)

const (
	// restoredLife is how long the rights of a session without a token are good for: whoever changes them may not know of Rejudge.
	restoredLife = 30 * time.Second
	// unknownLife is how long a session that has no rights because they could not be told waits before it asks again.
	unknownLife = time.Second
)

// rights are what a session may do. The zero value grants nothing.
type rights struct {
	granted *topicacl.Grants // by its token
	held    *topicacl.Grants // by its client at present; nil if that is no less than what the token grants
}

// Publish, Subscribe and Deliver answer as those of topicacl.Grants: a question must be allowed twice, and the narrower limit counts.
func (r rights) Publish(topic string, qos byte, retain bool) topicacl.Verdict {
	verdict := r.granted.Publish(topic, qos, retain)
	if !verdict.Allowed || r.held == nil {
		return verdict
	}
	if held := r.held.Publish(topic, qos, retain); !held.Allowed {
		return held
	}
	return verdict
}

func (r rights) Subscribe(filter string) topicacl.Verdict {
	verdict := r.granted.Subscribe(filter)
	if !verdict.Allowed || r.held == nil {
		return verdict
	}
	held := r.held.Subscribe(filter)
	if !held.Allowed {
		return held
	}
	verdict.MaxQoS = min(verdict.MaxQoS, held.MaxQoS)
	return verdict
}

func (r rights) Deliver(topic string) bool {
	return r.granted.Deliver(topic) && (r.held == nil || r.held.Deliver(topic))
}

// rightsOf returns what a principal in this standing may do with a token, or without one if token is nil, and which scopes of the
// token grant nothing. The token's own grants are not compiled again if they are given.
func (h *Hook) rightsOf(p principal, token *accesstoken.Token, granted *topicacl.Grants, status Status) (rights, []topicacl.Ignored) {
	issuer := h.issuerOf(p)
	bounded := !p.foreign() && h.cfg.Clients != nil
	if token == nil {
		if !bounded {
			return rights{}, nil
		}
		token = &accesstoken.Token{ClientID: p.clientID, Scopes: status.Scopes}
		bounded = false
	}
	var ignored []topicacl.Ignored
	if granted == nil {
		var scopes []string
		var malformed []topicacl.Ignored
		scopes, ignored = issuer.topicScopes(token, status.Labels)
		granted, malformed = topicacl.Compile(scopes)
		ignored = append(ignored, malformed...)
	}
	if !bounded || len(token.Scopes) > 0 && containsAll(status.Scopes, token.Scopes) {
		return rights{granted: granted}, ignored
	}
	owned := *token // the client's own claims expand what it holds, as they expand the token's scopes
	owned.AIF, owned.Scopes = nil, status.Scopes
	scopes, _ := issuer.topicScopes(&owned, status.Labels)
	held, _ := topicacl.Compile(scopes)
	if slices.ContainsFunc(granted.Scopes(), func(scope string) bool { return !held.Holds(scope) }) {
		return rights{granted, held}, ignored
	}
	return rights{granted: granted}, ignored
}

// containsAll reports whether all of some texts are among others, with little work where there are few.
func containsAll(all, some []string) bool {
	const few = 16
	if len(some) <= few {
		return !slices.ContainsFunc(some, func(text string) bool { return !slices.Contains(all, text) })
	}
	set := make(map[string]struct{}, len(all))
	for _, text := range all {
		set[text] = struct{}{}
	}
	return !slices.ContainsFunc(some, func(text string) bool {
		_, found := set[text]
		return !found
	})
}

// A standing is what a session may do and until when, by its token and by what its client holds. It is replaced as a whole.
type standing struct {
	rights

	token    *accesstoken.Token // nil if the session was restored from a store
	deadline time.Time          // when the session ends; not for a session without a token
	limits   Limits             // the principal's own, and where it has none, those of Config
	roles    []string
	// barred is why the client may no longer be connected, nil if it may. There are no rights then.
	barred *refusal
	// recheck is when the rights must be asked for again, zero if they need not be.
	recheck time.Time
}

// newStanding returns where a session stands with a token, if its client's status is this.
func (s *session) newStanding(token *accesstoken.Token, status Status) (*standing, []topicacl.Ignored) {
	st := &standing{token: token, limits: status.Limits.or(s.hook.cfg.Limits), roles: status.Roles}
	st.barred = checkStatus(s.principal, s.mqttID, s.assigned, status)
	if token != nil {
		st.deadline = spreadDeadline(token, s.mqttID, s.hook.cfg.Leeway)
	} else {
		st.recheck = s.hook.cfg.Now().Add(restoredLife)
	}
	if st.barred != nil {
		return st, nil
	}
	var ignored []topicacl.Ignored
	st.rights, ignored = s.hook.rightsOf(s.principal, token, s.compiled(token), status)
	return st, ignored
}

// compiled returns the grants of a token if the session stands by them already and they do not depend on anything else, or nil.
func (s *session) compiled(token *accesstoken.Token) *topicacl.Grants {
	was := s.standing.Load()
	if token == nil || was == nil || was.token != token || len(s.hook.issuerOf(s.principal).Scopes) > 0 {
		return nil
	}
	return was.granted
}

// current returns where the session stands now. Only if there is a doubt about it ClientStatus is asked.
func (s *session) current() *standing {
	if s.is(stale | restored) {
		s.judging.Lock()
		defer s.judging.Unlock()
		return s.currentLocked()
	}
	return s.standing.Load()
}

// ask returns where the session stands, and asks for it whatever is known.
func (s *session) ask() *standing {
	s.judging.Lock()
	defer s.judging.Unlock()
	return s.askLocked()
}

// currentLocked is current for those who hold judging.
func (s *session) currentLocked() *standing {
	st := s.standing.Load()
	if due := !s.hook.cfg.Now().Before(st.recheck); due && s.is(stale|restored) || s.is(stale) && st.barred != unknown {
		return s.askLocked()
	}
	return st
}

// askLocked asks how the client stands, for those who hold judging. Where it cannot be told there are no rights.
func (s *session) askLocked() *standing {
	was := s.standing.Load()
	s.lower(stale) // before asking: what changes from now on is a new doubt
	ctx, cancel := context.WithTimeout(s.hook.ctx, s.hook.cfg.VerifyTimeout)
	defer cancel()
	status, err := s.hook.statusOf(ctx, s.principal)
	if err != nil {
		s.raise(stale)
		st := *was
		st.rights, st.barred, st.recheck = rights{}, unknown, s.hook.cfg.Now().Add(unknownLife)
		s.standing.Store(&st)
		return &st
	}
	st, _ := s.newStanding(was.token, status)
	s.stand(st)
	return st
}

// unknown is why a session is barred for which it cannot be told how its client stands.
var unknown = &refusal{connackUnavailable, RuleStatusUnavailable, ""}
