package e2e_test

import (
	"strings"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

func subscribeSection() denySection {
	filter := func(rule, what, scope, asked string) denyPath {
		return denyPath{what: what, rule: rule, try: subscribeTry{scope: scope, filters: []string{asked}}.refuse}
	}
	return denySection{
		title: "SUBSCRIBE",
		intro: "Each filter has an answer of its own; the others of the same packet are not concerned. A QoS above the limit of the grant is no reason to refuse: it is lowered.",
		paths: []denyPath{
			filter("no-grant", "no grant for the filter", "sub:own/#", "other/a"),
			filter("no-grant", "wider than the grant: `own/#` with a grant for `own/+`", "sub:own/+", "own/#"),
			filter("no-grant", "`$SYS/#` with a grant for `#`", "sub:#", "$SYS/#"),
			filter("malformed-filter", "a malformed filter: `own/#/a`", "sub:own/#", "own/#/a"),
			filter("malformed-filter", "a malformed filter: `own/a+`", "sub:own/#", "own/a+"),
			filter("malformed-filter", "an empty filter", "sub:#", ""),
			filter("malformed-shared-subscription", "`$share/group` without a filter", "sub:#", "$share/group"),
			filter("malformed-shared-subscription", "`$share//own/a`, with an empty group", "sub:#", "$share//own/a"),
			filter("malformed-shared-subscription", "`$share/gr+up/own/a`, with a wildcard in the group", "sub:#", "$share/gr+up/own/a"),
			filter("no-grant", "`$share/group/other/a` with a grant for `own/#`", "sub:own/#", "$share/group/other/a"),
			filter("too-deep", "a filter of more than 128 levels", "sub:#", strings.Repeat("a/", 128)+"a"),
			filter("too-long", "a filter of more than 1,024 bytes", "sub:#", strings.Repeat("a", 1025)),
			{what: "more subscriptions than `max_subscriptions`", rule: "too-many-subscriptions", try: subscribeTry{scope: "sub:own/#", before: "own/a", filters: []string{"own/b"}}.refuse},
			{what: "a SUBSCRIBE without any filter", qos: []byte{0}, try: subscribeTry{scope: "sub:own/#"}.refuse},
			{what: "QoS 3", qos: []byte{3}, try: subscribeTry{scope: "sub:own/#", filters: []string{"own/a"}}.refuse},
		},
	}
}

// A subscribeTry is a client that asks for filters.
type subscribeTry struct {
	scope   string
	before  string // the one subscription that it may have, and has already
	filters []string
}

func (try subscribeTry) refuse(g *denyGate, at denyCell) string {
	g.tb.Helper()
	var limits denyLimits
	if try.before != "" {
		limits = denyLimits{"max_subscriptions": 1}
	}
	who := g.under(limits, try.scope)
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token})
	if try.before != "" {
		w.MustSubscribe(at.qos, try.before)
	}
	came, closed := g.exchange(w, harness.EncodeSubscribe(at.version, 77, at.qos, try.filters...))
	g.expectRule(at, "remote="+w.Remote()+" ")
	return spell(came, closed)
}

const denyMethod = "OAUTH2-JWT"

func authSection() denySection {
	good := func(_ *denyGate, who denySubject) string { return who.token }
	past := harness.Claims{"iat": harness.SecondsFromNow(-2 * time.Hour), "nbf": nil, "exp": harness.SecondsFromNow(-time.Hour)}
	bad := func(what, rule string, token func(*denyGate, denySubject) string) denyPath {
		return denyPath{what: what, rule: rule, only: 5, try: authTry{denyMethod, denyMethod, harness.ReAuthenticate, token}.refuse}
	}
	return denySection{
		title: "AUTH",
		intro: "A connection that was opened with an authentication method can be given a new token. A renewal that fails ends the connection, as MQTT 5.0 §4.12.1 has it.",
		paths: once(
			denyPath{what: "in MQTT 3.1.1, which has no AUTH", only: 4, try: authTry{"", denyMethod, harness.ReAuthenticate, good}.refuse},
			denyPath{what: "on a connection that was opened without a method", rule: "auth-packet", only: 5, try: authTry{"", denyMethod, harness.ReAuthenticate, good}.refuse},
			denyPath{what: "without a method", rule: "auth-packet", only: 5, try: authTry{denyMethod, "", harness.ReAuthenticate, good}.refuse},
			denyPath{what: "with another method than that of the CONNECT", rule: "authentication-method", only: 5, try: authTry{denyMethod, "CUSTOM-JWT", harness.ReAuthenticate, good}.refuse},
			denyPath{what: "with another reason code than 0x19", rule: "auth-packet", only: 5, try: authTry{denyMethod, denyMethod, 0x18, good}.refuse},
			bad("no token", "no-token", func(*denyGate, denySubject) string { return "" }),
			bad("something else than a token", "token-malformed", func(_ *denyGate, who denySubject) string { return who.ClientSecret }),
			bad("a token with a bad signature", "token-signature", func(_ *denyGate, who denySubject) string { return who.token[:len(who.token)-6] + "AAAAAA" }),
			bad("an expired token", "token-expired", func(g *denyGate, who denySubject) string { return g.forger.Alter(who.token, past) }),
			bad("a revoked token", "revoked", func(g *denyGate, who denySubject) string {
				other := g.Token(who.Credential)
				g.Revoke(harness.Claims{"token_id": g.forger.Claim(other, "jti")})
				return other
			}),
			bad("a token that is bound to a certificate, without the certificate", "token-confirmation", func(g *denyGate, who denySubject) string {
				return g.forger.Alter(who.token, harness.Claims{"cnf": map[string]string{"x5t#S256": harness.Encode("0123456789abcdef0123456789abcdef")}})
			}),
			bad("a token of another client", "renewal-principal", func(g *denyGate, _ denySubject) string { return g.client().token }),
			denyPath{what: "again and again", rule: "auth-packet", only: 5, try: (*denyGate).renewTooOften},
		),
	}
}

// An authTry is a client that opens a connection with one method and renews it with another.
type authTry struct {
	opened, renewed string
	code            byte
	token           func(g *denyGate, who denySubject) string
}

func (try authTry) refuse(g *denyGate, at denyCell) string {
	g.tb.Helper()
	who := g.client()
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token, Method: try.opened})
	came, closed := g.exchange(w, harness.EncodeAuth(try.code, try.renewed, try.token(g, who)))
	g.expectRule(at, "remote="+w.Remote()+" ")
	return spell(came, closed)
}

// renewTooOften renews a token, each time with success, until that is too much.
func (g *denyGate) renewTooOften(at denyCell) string {
	g.tb.Helper()
	who := g.client()
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token, Method: denyMethod})
	for range 1000 {
		if p := w.Renew(denyMethod, who.token); p.Kind == harness.TypeDisconnect {
			w.ExpectClosed()
			g.expectRule(at, "remote="+w.Remote()+" ")
			return spell([]harness.Packet{p}, true)
		}
	}
	g.tb.Error("a thousand renewals were all accepted")
	return spell(nil, false)
}
