package authhook_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
)

const partnerIssuer = "https://partner.example"

// partnerKey signs the tokens of the other issuer.
var partnerKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))

// besidePartner makes a gate accept the tokens of another issuer, too.
func besidePartner(tb testing.TB, change ...func(*authhook.Issuer)) func(*settings) {
	tb.Helper()
	return func(s *settings) {
		keys, err := accesstoken.NewStaticKeys(map[string]crypto.PublicKey{"key-2": partnerKey.Public()})
		if err != nil {
			tb.Fatal(err)
		}
		partner, err := accesstoken.New(accesstoken.Config{
			Issuer: partnerIssuer, Audience: testAudience, Keys: keys, Algorithms: []string{"EdDSA"}, Now: s.Now,
		})
		if err != nil {
			tb.Fatal(err)
		}
		if s.Verifier, err = accesstoken.NewIssuers(newVerifier(tb, s.Now), partner); err != nil {
			tb.Fatal(err)
		}
		issuer := authhook.Issuer{Name: "partner"}
		for _, c := range change {
			c(&issuer)
		}
		s.Issuers = map[string]authhook.Issuer{testIssuer: {}, partnerIssuer: issuer}
	}
}

// partnerToken returns a token of the other issuer.
func (g *gate) partnerToken(tb testing.TB, clientID string, changed jwt.MapClaims) string {
	tb.Helper()
	now := g.clock.Now()
	claims := jwt.MapClaims{
		"iss": partnerIssuer, "aud": testAudience, "sub": clientID, "client_id": clientID, "jti": "partner-" + clientID,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scp": []string{"pub:a", "sub:a"},
	}
	maps.Copy(claims, changed)
	return signWith(tb, partnerKey, "key-2", claims)
}

func TestJ3_ClientsOfTwoIssuersAreNeverTakenForOneAnother(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t, besidePartner(t))
		// ClientStatus knows nobody of the other issuer.
		g.clients.set("sensor-1", authhook.Status{})
		foreign := g.enter(t, version, "sensor-1", g.partnerToken(t, "sensor-1", nil))
		foreign.mustSubscribe(t, "a")
		if s := g.hook.Sessions()[0]; s.ClientID != "partner/sensor-1" || s.MQTTClientID != "sensor-1" {
			t.Errorf("the session is %+v", s)
		}
		// Revoking the client of the same name does not concern it.
		if r := g.revoke("sensor-1"); r != (authhook.Receipt{}) {
			t.Errorf("the receipt is %+v", r)
		}
		foreign.send(t, message("a", 0, false))
		g.expectHeard(t, "a")
		foreign.expectMessage(t, "a")

		// The client after which the ID is named throws it out, and does not get its session.
		g.clients.allow("sensor-1")
		own, ack := g.connect(t, version, "sensor-1", g.token(t, "sensor-1", "sub:#", "pub:#"))
		if ack.ReasonCode != 0 || ack.SessionPresent {
			t.Fatalf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
		}
		foreign.expectDisconnect(t, 0x8e)
		g.say(t, "a")
		own.ping(t)
		g.expectRefused(t, version, "sensor-1", g.partnerToken(t, "sensor-1", nil), notAuthorized, authhook.RuleOwner)
		replica := g.enter(t, version, "sensor-1:b", g.partnerToken(t, "sensor-1", nil))
		if r := g.hook.Revoke(authhook.Selection{Issuer: "partner", ClientID: "sensor-1"}, "test"); r.Sessions != 1 {
			t.Errorf("the receipt is %+v", r)
		}
		replica.expectDisconnect(t, 0x98)
		own.ping(t)
	}
}

func TestJ3_NoTokenPassesAsAnotherIssuers(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePartner(t))
	now := g.clock.Now()
	claims := func(issuer string) jwt.MapClaims {
		return jwt.MapClaims{
			"iss": issuer, "aud": testAudience, "sub": "sensor-1", "client_id": "sensor-1",
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scp": []string{},
		}
	}
	for _, version := range []byte{4, 5} {
		g.expectRefused(t, version, "sensor-1", signWith(t, partnerKey, "key-2", claims(testIssuer)), badToken, "token-unknown-key")
		g.expectRefused(t, version, "sensor-1", signWith(t, partnerKey, testKeyID, claims(testIssuer)), badToken, "token-signature")
		g.expectRefused(t, version, "sensor-1", signWith(t, testKey, testKeyID, claims(partnerIssuer)), badToken, "token-unknown-key")
		g.expectRefused(t, version, "sensor-1", signWith(t, testKey, testKeyID, claims("https://third.example")), badToken, "token-issuer")
		// One's own client whose name begins like the other issuer's.
		g.expectRefused(t, version, "x", g.token(t, "partner/sensor-1"), badToken, "token-claims")
		g.enter(t, version, "other/sensor-1", g.token(t, "other/sensor-1"))
	}
	// A verifier that knows more issuers than Issuers.
	narrow := openGate(t, besidePartner(t), func(s *settings) { delete(s.Issuers, partnerIssuer) })
	narrow.expectRefused(t, 5, "sensor-1", narrow.partnerToken(t, "sensor-1", nil), badToken, "token-issuer")
}

func TestS6_ARenewalWithAnotherIssuersTokenEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePartner(t))
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"), withMethod(methodOAuth2))
	w.send(t, authPacket(methodOAuth2, g.partnerToken(t, "sensor-1", nil)))
	w.expectDisconnect(t, 0x87)
	g.events.expect(t, authhook.KindRenew, authhook.RuleRenewalPrincipal)
	w = g.enter(t, 5, "sensor-2", g.partnerToken(t, "sensor-2", nil), withMethod(methodOAuth2))
	w.renew(t, g.partnerToken(t, "sensor-2", nil))
}

func TestTheMQTTClientIDsOfAForeignClientFollowItsIssuersPatterns(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePartner(t))
	custom := openGate(t, besidePartner(t, func(i *authhook.Issuer) { i.MQTTClientIDs = []string{"p-{client_id}", "{client_id}-*-{client_id}"} }))
	for _, c := range []struct {
		g                *gate
		clientID, mqttID string
		allowed          bool
	}{
		{g, "svc", "svc", true},
		{g, "svc", "svc:1", true},
		{g, "svc", "svc1", false},
		{g, "svc", "other", false},
		{g, "auth0|x@clients", "auth0|x@clients", true},
		{g, "*", "*", false},
		{g, "*", "anything", false},
		{g, "s*c", "svc", false},
		{g, "s*c", "s*c", false},
		{g, "{client_id}", "{client_id}", true},
		{g, "{client_id}", "svc", false},
		{custom, "svc", "p-svc", true},
		{custom, "svc", "svc-x-svc", true},
		{custom, "svc", "svc", false},
		{custom, "*", "p-x", false},
		{custom, "{client_id}", "p-svc", false},
	} {
		token := c.g.partnerToken(t, c.clientID, nil)
		if c.allowed {
			c.g.enter(t, 5, c.mqttID, token)
		} else {
			c.g.expectRefused(t, 5, c.mqttID, token, notAuthorized, authhook.RuleMQTTClientID)
		}
	}
	for _, id := range []string{"a\x00b", "a\nb", strings.Repeat("x", 300)} {
		_, ack := g.connect(t, 5, "svc", g.partnerToken(t, id, nil))
		if ack.ReasonCode != 0x86 {
			t.Errorf("client ID %.10q: CONNACK 0x%02x", id, ack.ReasonCode)
		}
	}
	_, ack := g.connect(t, 5, "", g.partnerToken(t, "svc", nil), clean)
	if !strings.HasPrefix(ack.Properties.AssignedClientID, "partner/svc:") {
		t.Errorf("assigned %q", ack.Properties.AssignedClientID)
	}
}

func TestARestoredSessionOfAForeignClientWaitsForItsOwner(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePartner(t), func(s *settings) {
		s.after = append(s.after, &archive{owner: "partner/reader", filters: []string{"a"}, queued: []string{"a"}})
	})
	g.say(t, "a") // nobody can say whether it may have this
	g.clients.allow("stranger", "*")
	g.expectRefused(t, 5, "reader", g.token(t, "stranger", "sub:#"), notAuthorized, authhook.RuleOwner)
	w, ack := g.connect(t, 5, "reader", g.partnerToken(t, "reader", nil))
	if ack.ReasonCode != 0 || !ack.SessionPresent {
		t.Errorf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
	}
	w.expectMessages(t, "a")
	w.ping(t)
}

func TestJ5_EveryFaultOfTheIssuersIsNamed(t *testing.T) {
	t.Parallel()
	_, err := authhook.New(silentServer(), authhook.Config{
		Verifier: newVerifier(t, time.Now),
		Issuers: map[string]authhook.Issuer{
			"": {Name: "nameless"}, "one": {Name: "a/b"}, "two": {Name: "c\n"}, "three": {Name: "same"}, "four": {Name: "same"},
			"five": {Name: "five", Limits: authhook.Limits{Sessions: -1}},
		},
	})
	if err == nil {
		t.Fatal("the configuration was accepted")
	}
	for _, fault := range []string{"without an iss", `"one"`, `"two"`, "the same Name", `"five"`} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("the error does not mention %s: %v", fault, err)
		}
	}
}
