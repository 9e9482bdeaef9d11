package authhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// TokenVerifier verifies the text of an access token. *accesstoken.Verifier is one, and *accesstoken.Issuers for several issuers.
//
// Verify may be called concurrently. It must not return a token without ClientID and ExpiresAt, and no part of the text may appear
// in its error. An error that names a rule of accesstoken refuses the token; any other error refuses it as well.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (*accesstoken.Token, error)
}

// ClientStatus knows how a client stands at this moment.
//
// ClientStatus may be called concurrently, also while messages are delivered, so it should answer from memory or a local store. A
// client that is unknown, disabled or deleted is a zero Status, not an error. An error means that it cannot be told: connections are
// then refused as if the server were unavailable, and sessions whose rights are in question may do nothing until it can be told; but
// nothing that exists is taken away.
type ClientStatus interface {
	ClientStatus(ctx context.Context, clientID string) (Status, error)
}

// Revocations knows which tokens were revoked before their time.
//
// Revoked may be called concurrently and must answer from memory. It is asked at CONNECT and at renewal, when Hook.Revoke can already
// find the session: whoever revokes makes Revoked true first and calls Hook.Revoke then, and misses none.
type Revocations interface {
	Revoked(token *accesstoken.Token) bool
}

// Retained counts the retained messages of which an owner was the last publisher: the Username of the mochi client that published.
//
// RetainedBy may be called concurrently, and must answer from memory.
type Retained interface {
	RetainedBy(owner string) int
}

// Status is what the hook asks of a client beside its token.
type Status struct {
	// Active says whether the client may connect at all.
	Active bool
	// MQTTClientIDs are patterns for the MQTT client IDs that the client may use, in which '*' stands for any characters. If there
	// is none, they are its own ID, and its own ID followed by ':' and a suffix.
	MQTTClientIDs []string
	// Scopes are the scopes that the client holds now, with nothing of the client's left to expand. A session may do what its token
	// and these both cover. Sessions that were restored from a store have no token: these alone judge them.
	Scopes []string
	// Roles are the names of the client's roles, by which a Selection finds its sessions.
	Roles []string
	// Labels are for the placeholders of Issuer.Scopes.
	Labels map[string]string
	// Limits come before those of Config.
	Limits Limits
}

// Issuer says what the tokens of one issuer are good for.
type Issuer struct {
	// Name stands before a '/' and the client ID in the name of the owner of a session, so that clients of two issuers are never
	// taken for one another; it holds no '/' itself. The issuer with an empty name is one's own: ClientStatus knows its clients.
	Name string
	// Scopes maps a named scope of a token to the topic scopes that it stands for, with the placeholders {client_id}, {claims.x} and
	// {labels.x}.
	Scopes map[string][]string
	// MQTTClientIDs are patterns as in Status, with the placeholder {client_id}, for an issuer with a name; if there is none,
	// "{client_id}" and "{client_id}:*".
	MQTTClientIDs []string
	// Limits come before those of Config, for an issuer with a name.
	Limits Limits
}

// Limits bound what one principal may use. 0 means: as in Config.Limits; and there, no limit, or the default that is named.
type Limits struct {
	// Sessions that are connected at the same time, of the principal.
	Sessions int
	// ConnectsPerMinute of the principal that come with a valid token, accepted or not. As many are allowed at once.
	ConnectsPerMinute int
	// MessagesPerSecond and BytesPerSecond, of topics and payloads, that the principal publishes over all its sessions. As much as for
	// one second is allowed at once, so a message of more bytes is always refused.
	MessagesPerSecond int
	BytesPerSecond    int
	// Subscriptions of one session; 1000 by default.
	Subscriptions int
	// Retained messages of which the principal was the last publisher.
	Retained int
	// PayloadBytes of one message.
	PayloadBytes int
}

// Policy says what happens to a client that publishes what it may not, where MQTT has no answer for it: at QoS 0, and in MQTT 3.1.1
// at any QoS. MQTT 5.0 at QoS 1 and 2 always answers with reason code 0x87.
type Policy int

const (
	// Drop acknowledges the message as the protocol demands and forwards it to nobody.
	Drop Policy = iota
	// RFC9431 closes the connection, in MQTT 5.0 with reason code 0x87 (RFC 9431 §3.1). With the same code, instead of 0xA0, it ends
	// a connection whose token has expired (RFC 9431 §2.3).
	RFC9431
)

// Config says how a Hook decides. Only Verifier is required.
type Config struct {
	Verifier TokenVerifier
	// Clients may be nil: then every client that the issuer gives a token is active, with the default MQTT client IDs, and holds what
	// its token says.
	Clients ClientStatus
	// Revocations may be nil: then tokens live until they expire, and only Hook.Revoke ends their sessions.
	Revocations Revocations
	// Issuers are those whose tokens are accepted, by their claim iss. Nil accepts those of Verifier as tokens of one's own issuer.
	Issuers map[string]Issuer
	// OnDenied applies to publishing, and to the code with which a session expires.
	OnDenied Policy
	// Leeway is how long after its token's expiry a session may live on, so that sessions with tokens of one age do not all end at
	// once: each ends at a moment of its own in the second half of the leeway. It should not exceed the verifier's. Zero ends
	// sessions exactly at the expiry.
	Leeway time.Duration
	// VerifyTimeout bounds all checks of one CONNECT or renewal together, waiting for a free slot included; zero is 5 seconds. As
	// many are checked at once as the machine has processors.
	VerifyTimeout time.Duration
	// SerialTakeover says that the server lets a connection go altogether before another one takes over its session, as package broker
	// does. mochi by itself does not: there the earlier connection is made to wait until the later one is on mochi's list.
	SerialTakeover bool
	// CloseGrace is how long an MQTT 5.0 client that is being closed has to close the connection itself, once it was sent its
	// DISCONNECT and the end of the stream; zero is 75 ms. If the server closed it first, with something of the client's still unread,
	// TCP would reset it and the DISCONNECT might be lost. From the first moment nothing else goes in or out.
	CloseGrace time.Duration
	// FailuresPerMinute is how many authentications may fail for one network address, at once and each minute, before its CONNECTs
	// are checked one after the other and what fails is answered with reason code 0x9F; zero is 60. An IPv6 address stands for its /64.
	FailuresPerMinute int
	// Limits are those of every principal that has none of its own.
	Limits Limits
	// Retained counts what Limits.Retained bounds, and may be nil if nothing does.
	Retained Retained
	// Observer is told of every decision, on the goroutine that made it: it must not block, and is called concurrently. It may be nil.
	Observer func(Event)
	// Logger is the server's own if nil.
	Logger *slog.Logger
	// Now is time.Now if nil.
	Now func() time.Time
}

// Defaults of Config.
const (
	defaultVerifyTimeout     = 5 * time.Second
	defaultSubscriptions     = 1000
	defaultCloseGrace        = 75 * time.Millisecond
	defaultFailuresPerMinute = 60
)

// faults returns all that is wrong with a configuration.
func faults(server *mqtt.Server, cfg Config) []error {
	var found []error
	fault := func(wrong bool, text string) {
		if wrong {
			found = append(found, errors.New(text))
		}
	}
	fault(server == nil, "server is missing")
	fault(cfg.Verifier == nil, "config: Verifier is missing")
	fault(cfg.OnDenied != Drop && cfg.OnDenied != RFC9431, "config: OnDenied is neither Drop nor RFC9431")
	fault(cfg.Leeway < 0, "config: Leeway is negative")
	fault(cfg.VerifyTimeout < 0, "config: VerifyTimeout is negative")
	fault(cfg.CloseGrace < 0, "config: CloseGrace is negative")
	fault(cfg.FailuresPerMinute < 0, "config: FailuresPerMinute is negative")
	fault(cfg.Limits.negative(), "config: Limits has a negative member")
	names := make(map[string]bool, len(cfg.Issuers))
	for _, iss := range slices.Sorted(maps.Keys(cfg.Issuers)) {
		issuer := cfg.Issuers[iss]
		fault(iss == "", "config: Issuers has one without an iss")
		fault(strings.Contains(issuer.Name, ownerSeparator) || issuer.Name != "" && !wellFormedID(issuer.Name),
			fmt.Sprintf("config: issuer %q: Name has a '/' or control characters, or is too long", iss))
		fault(names[issuer.Name], fmt.Sprintf("config: issuer %q: another has the same Name", iss))
		fault(issuer.Limits.negative(), fmt.Sprintf("config: issuer %q: Limits has a negative member", iss))
		names[issuer.Name] = true
	}
	return append(found, scopeFaults(cfg.Issuers)...)
}

func (l Limits) negative() bool {
	return slices.Min([]int{
		l.Sessions, l.ConnectsPerMinute, l.MessagesPerSecond, l.BytesPerSecond, l.Subscriptions, l.Retained, l.PayloadBytes,
	}) < 0
}
