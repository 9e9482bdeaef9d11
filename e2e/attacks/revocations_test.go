package attacks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// The kinds of revocation, S7: each ends what it must, says so, and is as good after a restart.

// subject is a client whose rights are taken away: all that it holds it has from a role of its own.
type subject struct {
	harness.Credential
	role, token string
}

func newSubject(s *harness.Server, id string) subject {
	s.Role(id, nil, "pub:{client_id}/#", "sub:{client_id}/#")
	c := s.Holding(id, id)
	return subject{c, id, s.Token(c)}
}

// revocation is one way to take rights away.
type revocation struct {
	revoke func(s *harness.Server, who subject) harness.Receipt
	// rule refuses the token that the client had, empty where it is still let in with fewer rights.
	rule string
}

// idOf makes a client ID of the name of a case.
func idOf(prefix, what string) string {
	return prefix + "-" + strings.ReplaceAll(strings.ToLower(what), " ", "-")
}

// keyRevoked takes the tokens of all clients away.
const keyRevoked = "a signing key revoked"

func revocations(f harness.Forger) map[string]revocation {
	change := func(method, path string, body any) func(*harness.Server, subject) harness.Receipt {
		return func(s *harness.Server, who subject) harness.Receipt {
			return s.End(method, strings.ReplaceAll(path, "{id}", who.ClientID), body)
		}
	}
	return map[string]revocation{
		"disabled": {change(http.MethodPost, "/v1/services/{id}/disable", nil), "client-inactive"},
		"deleted":  {change(http.MethodDelete, "/v1/services/{id}", nil), "client-inactive"},
		"its secret retired": {func(s *harness.Server, who subject) harness.Receipt {
			return s.End(http.MethodDelete, "/v1/services/"+who.ClientID+"/secrets/"+s.Secrets("services", who.ClientID)[0], nil)
		}, "revoked"},
		"its secret rotated": {change(http.MethodPost, "/v1/services/{id}/rotate", nil), "revoked"},
		"its token revoked": {func(s *harness.Server, who subject) harness.Receipt {
			return s.Revoke(harness.Claims{"token_id": f.Claim(who.token, "jti")})
		}, "revoked"},
		"its tokens of before revoked": {func(s *harness.Server, who subject) harness.Receipt {
			return s.Revoke(harness.Claims{"client_id": who.ClientID, "issued_before": time.Now().UTC().Truncate(time.Second).Add(time.Second)})
		}, "revoked"},
		keyRevoked: {func(s *harness.Server, who subject) harness.Receipt {
			return s.End(http.MethodDelete, "/v1/signing-keys/"+f.Kid(who.token), nil)
		}, "token-unknown-key"},
		"its role narrowed":    {change(http.MethodPatch, "/v1/roles/{id}", harness.Rights("pub:{client_id}/left", "sub:{client_id}/left")), ""},
		"its role taken away":  {change(http.MethodPatch, "/v1/services/{id}", map[string]any{"roles": []string{}}), ""},
		"its MQTT IDs changed": {change(http.MethodPatch, "/v1/services/{id}", map[string]any{"mqtt_client_ids": []string{"elsewhere"}}), "mqtt-client-id"},
	}
}

// refusal is how a CONNECT with the token that the client had is refused.
func (r revocation) refusal() harness.Refusal {
	if r.rule == "mqtt-client-id" || r.rule == "client-inactive" {
		return harness.NotAuthorized
	}
	return harness.BadToken
}

// stakes are what a subject may lose: a connected session with a will and a subscription, a stored one with a subscription and a
// message that waits, and a retained message.
type stakes struct {
	subject
	live   *harness.Wire
	stored harness.Hello
}

func newStakes(tb testing.TB, s *harness.Server, id string, version byte) *stakes {
	tb.Helper()
	k := &stakes{subject: newSubject(s, id)}
	k.stored = harness.Hello{ID: id + ":stored", Password: k.token, Keep: true}
	stored := harness.Enter(tb, s, version, k.stored)
	stored.MustSubscribe(1, id+"/news")
	stored.Leave()
	will := &harness.Message{Topic: id + "/state", Payload: "lost", QoS: 1, Retain: true}
	k.live = harness.Enter(tb, s, version, harness.Hello{ID: id, Password: k.token, Will: will})
	k.live.MustSubscribe(1, id+"/cmd")
	k.live.Publish(harness.Message{Topic: id + "/news", Payload: "queued", QoS: 1})
	k.live.Publish(harness.Message{Topic: id + "/info", Payload: "kept", QoS: 1, Retain: true})
	return k
}

// lost is the receipt for all of it.
func (k *stakes) lost(what string) harness.Receipt {
	want := harness.Receipt{Sessions: 2, Subscriptions: 2, Queued: 1, Wills: 1}
	switch what {
	case "deleted":
		want.Secrets, want.Retained = 1, 1
	case "its secret retired", "its secret rotated":
		want.Secrets = 1
	case "its role narrowed", "its role taken away":
		want.Sessions, want.Rejudged = 0, 2
	}
	return want
}

func TestS7_EachKindOfRevocationEndsWhatItMustAndSaysSo(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	watching := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	ways := revocations(f)
	delete(ways, keyRevoked)
	for what, way := range ways {
		for _, version := range harness.Versions {
			t.Run(fmt.Sprint(what, ", version ", version), func(t *testing.T) {
				s := s.In(t)
				id := idOf(harness.Name("meter", version), what)
				other := newStakes(t, s, "other-"+id, version)
				k := newStakes(t, s, id, version)
				watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: watching})
				watch.MustSubscribe(1, id+"/state", "marker")

				if got, want := way.revoke(s, k.subject), k.lost(what); got != want {
					t.Errorf("the receipt says %+v, want %+v", got, want)
				}
				if way.rule == "" {
					k.expectNarrowed(t, version)
				} else {
					k.live.ExpectDisconnect(0x98)
					harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: k.token}, way.refusal(), way.rule)
					harness.ExpectRefused(t, s, version, k.stored, way.refusal(), way.rule)
				}
				watch.Publish(harness.Message{Topic: "marker", QoS: 1})
				watch.ExpectTopics("marker") // no will

				other.live.Publish(harness.Message{Topic: other.ClientID + "/cmd", QoS: 1})
				other.live.ExpectTopics(other.ClientID + "/cmd")
				harness.Resume(t, s, version, other.stored, true).ExpectTopics(other.ClientID + "/news") // untouched
			})
		}
	}
}

// expectNarrowed wants the live session to go on without what is not granted any more.
func (k *stakes) expectNarrowed(tb testing.TB, version byte) {
	tb.Helper()
	k.live.TB = tb
	if code := k.live.Publish(harness.Message{Topic: k.ClientID + "/gone", QoS: 1}); version == 5 && code != 0x87 {
		tb.Errorf("PUBLISH to what is gone: 0x%02x, want 0x87", code)
	}
	if code := k.live.Subscribe(1, k.ClientID+"/cmd")[0]; !isDenied(code) {
		tb.Errorf("SUBSCRIBE to what is gone: 0x%02x", code)
	}
	k.live.Drop()
}

func TestS7_ARevocationSurvivesAKillOfTheServer(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	ways := revocations(f)
	lost := map[string]*stakes{}
	for what, way := range ways {
		if what == keyRevoked {
			continue // of all: at the end
		}
		lost[what] = newStakes(t, s, idOf("meter", what), 5)
		way.revoke(s, lost[what].subject)
	}
	spared := newStakes(t, s, "spared", 5)
	check := func(what string, k *stakes) {
		t.Run(what, func(t *testing.T) {
			if way := ways[what]; way.rule != "" {
				harness.ExpectRefused(t, s.In(t), 5, k.stored, way.refusal(), way.rule)
				return
			}
			w := harness.Enter(t, s, 5, k.stored)
			w.Ping()
			if len(w.Early) > 0 {
				t.Errorf("%q came, which had been dropped", harness.Topics(w.Early))
			}
			if code := w.Publish(harness.Message{Topic: k.ClientID + "/gone", QoS: 1}); code != 0x87 {
				t.Errorf("PUBLISH to what is gone: 0x%02x, want 0x87", code)
			}
		})
	}

	s.Kill()
	s.Restart()
	for what, k := range lost {
		check(what, k)
	}
	harness.Resume(t, s, 5, spared.stored, true).ExpectTopics("spared/news")

	live := harness.Enter(t, s, 5, harness.Hello{ID: "spared", Password: spared.token})
	if got := ways[keyRevoked].revoke(s, spared.subject); got.Sessions == 0 {
		t.Errorf("the receipt says %+v, want sessions", got)
	}
	live.ExpectDisconnect(0x98)
	check(keyRevoked, spared)
	s.Kill()
	s.Restart()
	check(keyRevoked, spared)
	harness.Enter(t, s, 5, harness.Hello{ID: "spared", Password: s.Token(spared.Credential)}).Leave() // by the key that took its place
}

func TestS7_WhoeverIsLetInAgainGetsNothingBack(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		k := newStakes(t, s, harness.Name("meter", version), version)
		s.Disable(k.ClientID)
		k.live.ExpectDisconnect(0x98)
		s.Change(http.MethodPost, "/v1/services/"+k.ClientID+"/enable", nil)
		harness.ExpectRefused(t, s, version, k.stored, harness.BadToken, "revoked") // the old token stays so

		fresh := k.stored
		fresh.Password = s.FreshToken(k.Credential)
		w := harness.Resume(t, s, version, fresh, false)
		w.Ping()
		if len(w.Early) > 0 {
			t.Errorf("%q came, which had been dropped", harness.Topics(w.Early))
		}
		w.Leave()
	})
}

func TestS7_TheFleetAPIRefusesARevokedTokenToo(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	boss := s.Create("operators", "--id", "boss", "--role", "fleet-admin")
	token := s.Token(boss, "audience", "boomgate:fleet")
	ask := func(token string, want int) {
		t.Helper()
		if status, answer := s.FleetAs(token, http.MethodGet, "/v1/services", nil); status != want {
			t.Errorf("the fleet API answers %d, want %d: %s", status, want, answer)
		}
	}
	ask(token, http.StatusOK)
	s.Revoke(harness.Claims{"token_id": f.Claim(token, "jti")})
	ask(token, http.StatusUnauthorized)
	token = s.Token(boss, "audience", "boomgate:fleet")
	ask(token, http.StatusOK)
	s.Change(http.MethodPost, "/v1/operators/boss/disable", nil)
	ask(token, http.StatusUnauthorized)
	s.Change(http.MethodPost, "/v1/operators/boss/enable", nil)
	ask(token, http.StatusUnauthorized)
	token = s.FreshToken(boss, "audience", "boomgate:fleet")
	ask(token, http.StatusOK)
	s.End(http.MethodDelete, "/v1/signing-keys/"+f.Kid(token), nil)
	ask(token, http.StatusUnauthorized)
	ask(s.Token(boss, "audience", "boomgate:fleet"), http.StatusOK)
}
