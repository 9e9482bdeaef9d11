package attacks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks by the tokens and keys of other issuers, J2 and J3, through the built program with issuers in its configuration.

// siteScopes says what the named scopes of an issuer stand for.
const siteScopes = `, scopes: {"telemetry:write": ["pub:plant/{claims.site}/{client_id}/#"], "telemetry:read": ["sub:plant/{claims.site}/+"], "ping": ["pub:ping/{client_id}"]}`

// north are the claims of a client of a site.
var north = harness.Claims{"site": "north"}

// expectForeign wants a token of an issuer to be let in, in both versions.
func expectForeign(tb testing.TB, s *harness.Server, id, token string) {
	tb.Helper()
	for _, version := range harness.Versions {
		harness.Enter(tb, s, version, harness.Hello{ID: id, Password: token}).Leave()
	}
}

func TestJ2_AFloodOfUnknownKeyIDsCausesAtMostOneFetch(t *testing.T) {
	t.Parallel()
	began := time.Now()
	i := harness.NewIssuer(t, "elsewhere")
	s := harness.StartWithIssuers(t, siteScopes, i)
	good := i.Token("meter", north)
	for n := range 40 {
		token := i.AlterHeader(good, harness.Claims{"kid": fmt.Sprint("key-of-nobody-", n)})
		harness.ExpectRefused(t, s, harness.Versions[n%2], harness.Hello{ID: "meter", Password: token}, harness.BadToken, "token-unknown-key")
	}
	const interval = 30 * time.Second // between two fetches
	if most := 1 + int(time.Since(began)/interval); i.Fetches() > most {
		t.Errorf("the keys were fetched %d times, want %d at most", i.Fetches(), most)
	}
	expectForeign(t, s, "meter", good)

	for what, kid := range map[string]any{
		"absent": nil, "empty": "", "a path": "../../../etc/passwd", "a URL": "https://evil.example/keys", "SQL": "x' OR '1'='1", "NUL": "key-1\x00",
		"a space": "key-1 ", "another letter case": "KEY-1", "a pattern": "*",
	} {
		t.Run(what, func(t *testing.T) {
			h := harness.Hello{ID: "meter", Password: i.In(t).AlterHeader(good, harness.Claims{"kid": kid})}
			harness.ExpectRefused(t, s.In(t), 5, h, harness.BadToken, "token-unknown-key")
		})
	}
	if most := 1 + int(time.Since(began)/interval); i.Fetches() > most {
		t.Errorf("the keys were fetched %d times, want %d at most", i.Fetches(), most)
	}
}

func TestJ2_AKeySetThatIsNotAsItMustBeLetsNobodyIn(t *testing.T) {
	t.Parallel()
	own := harness.NewIssuer(t, "own") // the only one whose keys are as they must be
	elsewhere := strings.Replace(own.URL, "127.0.0.1", "localhost", 1)
	spare := own.JWK("spare")
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	const unavailable, unknown = "token-keys-unavailable", "token-unknown-key"
	cases := map[string]struct {
		answer func(i *harness.Issuer) http.HandlerFunc
		rule   string
	}{
		"500":        {func(*harness.Issuer) http.HandlerFunc { return status(http.StatusInternalServerError) }, unavailable},
		"404":        {func(*harness.Issuer) http.HandlerFunc { return status(http.StatusNotFound) }, unavailable},
		"nothing":    {func(*harness.Issuer) http.HandlerFunc { return harness.Serve("") }, unavailable},
		"html":       {func(*harness.Issuer) http.HandlerFunc { return harness.Serve("<html><body>Not here</body></html>") }, unavailable},
		"no-members": {func(*harness.Issuer) http.HandlerFunc { return harness.Serve("{}") }, unavailable},
		"no-keys":    {func(*harness.Issuer) http.HandlerFunc { return harness.Serve(harness.KeySet()) }, unavailable},
		"huge": {func(i *harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(i.JWK(harness.IssuerKeyID)) + strings.Repeat(" ", 1<<20))
		}, unavailable},
		"very-many": {func(i *harness.Issuer) http.HandlerFunc {
			keys := []string{i.JWK(harness.IssuerKeyID)}
			for n := range 200 {
				keys = append(keys, i.JWK(fmt.Sprint("key-", n+2)))
			}
			return harness.Serve(harness.KeySet(keys...))
		}, unavailable},
		"sent-on":    {func(*harness.Issuer) http.HandlerFunc { return redirect(elsewhere + "/keys") }, unavailable},
		"sent-round": {func(*harness.Issuer) http.HandlerFunc { return redirect("/keys") }, unavailable},
		"two-of-one": {func(i *harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(i.JWK("key-1"), own.JWK("key-1"), spare))
		}, unknown},
		"to-encrypt": {func(i *harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(i.JWK("key-1", `"use":"enc"`), spare))
		}, unknown},
		"to-sign": {func(i *harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(i.JWK("key-1", `"key_ops":["sign"]`), spare))
		}, unknown},
		"private": {func(i *harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(i.JWK("key-1", `"d":"AAAA"`), spare))
		}, unknown},
		"another-alg": {func(i *harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(i.JWK("key-1", `"alg":"ES256"`), spare))
		}, unknown},
		"symmetric": {func(*harness.Issuer) http.HandlerFunc {
			return harness.Serve(harness.KeySet(`{"kty":"oct","kid":"key-1","alg":"HS256","k":"c2VjcmV0"}`, spare))
		}, unknown},
	}
	issuers := []*harness.Issuer{own}
	for name, test := range cases {
		i := harness.NewIssuer(t, name)
		i.Answer(test.answer(i))
		issuers = append(issuers, i)
	}
	s := harness.StartWithIssuers(t, siteScopes, issuers...)
	for _, i := range issuers[1:] {
		t.Run(i.Name, func(t *testing.T) {
			want := harness.BadToken
			if cases[i.Name].rule == unavailable {
				want = harness.Unavailable // the token may be good
			}
			for _, version := range harness.Versions {
				h := harness.Hello{ID: "meter", Password: i.Token("meter", north)}
				harness.ExpectRefused(t, s.In(t), version, h, want, cases[i.Name].rule)
			}
			if i.Name == "symmetric" {
				token := i.In(t).SignedWith(i.Token("meter", north), "HS256", hs256([]byte("secret")))
				harness.ExpectRefused(t, s.In(t), 5, harness.Hello{ID: "meter", Password: token}, harness.BadToken, "token-algorithm")
			}
		})
	}
	expectForeign(t, s, "meter", own.Token("meter", north)) // whom the others do not touch
}

func TestJ2_AKeySetThatDiesIsOutlivedByItsKeys(t *testing.T) {
	t.Parallel()
	i := harness.NewIssuer(t, "elsewhere")
	s := harness.StartWithIssuers(t, siteScopes, i)
	own := s.Token(s.Service("local", "pub:a"))
	good := i.Token("meter", north)
	expectForeign(t, s, "meter", good)
	i.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	expectForeign(t, s, "meter", good)
	h := harness.Hello{ID: "meter", Password: i.AlterHeader(good, harness.Claims{"kid": "key-2"})}
	harness.ExpectRefused(t, s, 5, h, harness.BadToken, "token-unknown-key")

	s.Stop() // a start while the issuer is dead is a start like any other
	s.Restart()
	for _, version := range harness.Versions {
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "meter", Password: good}, harness.Unavailable, "token-keys-unavailable")
		harness.Enter(t, s, version, harness.Hello{ID: "local", Password: own}).Leave()
	}
}

func TestJ2_AKeySetThatIsSlowHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	i := harness.NewIssuer(t, "elsewhere")
	asked, answered := make(chan struct{}), make(chan struct{})
	i.Answer(func(_ http.ResponseWriter, r *http.Request) {
		close(asked) // once: there is one fetch at a time, and none soon after it
		<-r.Context().Done()
		close(answered)
	})
	s := harness.StartWithIssuers(t, siteScopes, i)
	local := harness.Hello{ID: "local", Password: s.Token(s.Service("local", "pub:a"))}
	token := i.Token("meter", north)
	forged := token[:strings.LastIndexByte(token, '.')+1] + harness.Encode(strings.Repeat("x", 64)) // anybody can make it
	for n := range 64 {
		harness.Dial(t, s.MQTT, 5).Send(harness.Hello{ID: fmt.Sprint("meter:", n), Password: forged}.Encode(5))
	}
	<-asked
	harness.Enter(t, s, 4, local).Leave()
	harness.Enter(t, s, 5, local).Leave()
	select {
	case <-answered:
		t.Error("clients of this server had to wait for the keys of another issuer")
	default:
	}
}

func TestJ3_NobodysKeySpeaksForAnotherIssuer(t *testing.T) {
	t.Parallel()
	a, b := harness.NewIssuer(t, "a"), harness.NewIssuer(t, "b") // their keys have the same ID
	s := harness.StartWithIssuers(t, siteScopes, a, b)
	own := s.Token(s.Service("meter", "pub:a"))
	theirs := a.Token("meter", north)
	expectForeign(t, s, "meter", theirs)
	expectForeign(t, s, "meter", b.Token("meter", north))
	ownKid := a.Kid(own)
	for what, test := range map[string]struct{ token, rule string }{
		"a's token by b's key":               {b.Alter(theirs, nil), "token-signature"},
		"b's key, a's name":                  {b.Token("meter", harness.Claims{"iss": a.URL}), "token-signature"},
		"this server's token by a's key":     {a.Alter(own, nil), "token-signature"},
		"this server's name, a's key":        {a.Alter(own, harness.Claims{"jti": "x"}), "token-signature"},
		"this server's name, a's key and ID": {a.AlterHeader(own, harness.Claims{"kid": harness.IssuerKeyID}), "token-unknown-key"},
		"a's name, this server's key ID":     {a.AlterHeader(theirs, harness.Claims{"kid": ownKid}), "token-unknown-key"},
		"an issuer of nobody":                {a.Alter(theirs, harness.Claims{"iss": "https://nobody.example"}), "token-issuer"},
		"a's name with a slash":              {a.Alter(theirs, harness.Claims{"iss": a.URL + "/"}), "token-issuer"},
		"a's name in capitals":               {a.Alter(theirs, harness.Claims{"iss": strings.ToUpper(a.URL)}), "token-issuer"},
		"both names":                         {a.Alter(theirs, harness.Claims{"iss": []string{a.URL, b.URL}}), "token-issuer"},
		"the configured name for the URL":    {a.Alter(theirs, harness.Claims{"iss": "a"}), "token-issuer"},
		"no name":                            {a.Alter(theirs, harness.Claims{"iss": nil}), "token-issuer"},
		"a's name twice":                     {a.Append(theirs, fmt.Sprintf(`"iss":%q`, b.URL)), "token-malformed"},
		"a's name and this server's":         {a.Append(theirs, fmt.Sprintf(`"iss":%q`, a.Claim(own, "iss"))), "token-malformed"},
		"for the broker's own audience":      {a.Alter(theirs, harness.Claims{"aud": "boomgate:mqtt"}), "token-audience"},
		"for a part of the audience":         {a.Alter(theirs, harness.Claims{"aud": strings.TrimSuffix(harness.IssuerAudience, "e")}), "token-audience"},
		"for more than the audience":         {a.Alter(theirs, harness.Claims{"aud": harness.IssuerAudience + "/"}), "token-audience"},
		"for nobody":                         {a.Alter(theirs, harness.Claims{"aud": []string{}}), "token-audience"},
		"of a type that was not named":       {a.AlterHeader(theirs, harness.Claims{"typ": "JWT"}), "token-type"},
		"without an end":                     {a.Alter(theirs, harness.Claims{"exp": nil}), "token-claims"},
		"for the next ten years":             {a.Alter(theirs, harness.Claims{"exp": harness.SecondsFromNow(24 * 3650 * time.Hour)}), "token-lifetime"},
		"of a person":                        {a.Alter(theirs, harness.Claims{"sub": "alice"}), "token-claims"},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range harness.Versions {
				harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "meter", Password: test.token}, harness.BadToken, test.rule)
			}
		})
	}
	for _, aud := range []string{harness.IssuerAudience, "boomgate:fleet"} { // the fleet API is for its own alone
		token := a.Alter(theirs, harness.Claims{"aud": aud, "client_id": "root", "sub": "root", "scope": "services:read"})
		if status, _ := s.FleetAs(token, http.MethodGet, "/v1/services", nil); status != http.StatusUnauthorized {
			t.Errorf("the fleet API answers %d to a token of another issuer for %s", status, aud)
		}
	}
}

func TestJ3_ANamedScopeIsNotWidenedByTheTokenThatNamesIt(t *testing.T) {
	t.Parallel()
	i := harness.NewIssuer(t, "elsewhere")
	s := harness.StartWithIssuers(t, siteScopes, i)
	topics := []string{
		"plant/north/meter/x", "plant/south/meter/x", "plant/north/other/x", "plant//meter/x", "plant/a/b/meter/x",
		"plant/meter/meter/x", "ping/meter", "ping/other", "any", "plant/1/meter/x", "plant/true/meter/x", "plant/{client_id}/meter/x",
	}
	for what, test := range map[string]struct {
		claims harness.Claims
		id     string
		want   []string // the topics that may be published to
	}{
		"a site":                           {north, "meter", []string{"plant/north/meter/x"}},
		"another site":                     {harness.Claims{"site": "south"}, "meter", []string{"plant/south/meter/x"}},
		"no site":                          {harness.Claims{}, "meter", nil},
		"an empty site":                    {harness.Claims{"site": ""}, "meter", nil},
		"any site":                         {harness.Claims{"site": "+"}, "meter", nil},
		"all below":                        {harness.Claims{"site": "#"}, "meter", nil},
		"two levels":                       {harness.Claims{"site": "a/b"}, "meter", nil},
		"a level and a wildcard":           {harness.Claims{"site": "north/#"}, "meter", nil},
		"a limit":                          {harness.Claims{"site": "north?qos=2"}, "meter", nil},
		"a NUL":                            {harness.Claims{"site": "north\x00"}, "meter", nil},
		"a list":                           {harness.Claims{"site": []string{"north", "south"}}, "meter", nil},
		"an object":                        {harness.Claims{"site": harness.Claims{"north": true}}, "meter", nil},
		"null":                             {harness.Claims{"site": harness.Null}, "meter", nil},
		"a number":                         {harness.Claims{"site": 1}, "meter", []string{"plant/1/meter/x"}},
		"a boolean":                        {harness.Claims{"site": true}, "meter", []string{"plant/true/meter/x"}},
		"a placeholder":                    {harness.Claims{"site": "{client_id}"}, "meter", []string{"plant/{client_id}/meter/x"}},
		"a site in another letter case":    {harness.Claims{"Site": "north"}, "meter", nil},
		"a scope that is not in the map":   {harness.Claims{"site": "north", "scope": "telemetry:admin"}, "meter", nil},
		"a scope in another letter case":   {harness.Claims{"site": "north", "scope": "Telemetry:Write"}, "meter", nil},
		"topic scopes, word for word":      {harness.Claims{"site": "north", "scope": "pub:# sub:#"}, "meter", nil},
		"a topic scope beside a named one": {harness.Claims{"site": "north", "scope": "telemetry:write pub:#"}, "meter", []string{"plant/north/meter/x"}},
		"AIF":                              {harness.Claims{"site": "north", "scope": harness.Encode(`[["#",["pub","sub"]]]`)}, "meter", nil},
		"AIF as an array":                  {harness.Claims{"site": "north", "scope": []any{[]any{"#", []string{"pub", "sub"}}}}, "meter", nil},
		"a template as a scope":            {harness.Claims{"site": "north", "scope": "pub:plant/{claims.site}/{client_id}/#"}, "meter", nil},
		"a client that is a plus":          {harness.Claims{"site": "north", "scope": "telemetry:write ping"}, "+", nil},
		"a client with a level":            {harness.Claims{"site": "north", "scope": "telemetry:write ping"}, "north/meter", nil},
		"a named scope of its own":         {harness.Claims{"scope": "ping"}, "meter", []string{"ping/meter"}},
	} {
		t.Run(what, func(t *testing.T) {
			w := harness.Enter(t, s, 5, harness.Hello{ID: test.id, Password: i.Token(test.id, test.claims)})
			var got []string
			for _, topic := range topics {
				switch code := w.Publish(harness.Message{Topic: topic, QoS: 1}); code {
				case 0:
					got = append(got, topic)
				case 0x87:
				default:
					t.Errorf("PUBLISH to %s: 0x%02x", topic, code)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("it may publish to %q, want %q", got, test.want)
			}
			for _, filter := range []string{"#", "plant/#", "plant/+/+", "+/north/+", "plant/north/#", "$share/g/plant/#"} {
				if code := w.Subscribe(0, filter)[0]; code != 0x87 {
					t.Errorf("SUBSCRIBE %s: 0x%02x, want 0x87", filter, code)
				}
			}
			w.Leave()
		})
	}
}

func TestJ3_AForeignClientIsNeverALocalOne(t *testing.T) {
	t.Parallel()
	a, b := harness.NewIssuer(t, "a"), harness.NewIssuer(t, "b")
	s := harness.StartWithIssuers(t, siteScopes, a, b)
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		for _, online := range []bool{true, false} {
			v := newVictim(t, s, harness.Name("meter", version, online), version, online)
			for _, i := range []*harness.Issuer{a, b} {
				for _, attempt := range []harness.Hello{{}, {Keep: true}, {Keep: true, Clean: true}} {
					attempt.ID, attempt.Password = v.id, i.Token(v.id, north)
					harness.ExpectRefused(t, s, version, attempt, harness.NotAuthorized, "session-owner")
				}
			}
			v.expectUnharmed(t, version)
		}

		// Nor is a client of one issuer that of another, and a local one throws both out.
		id := harness.Name("shared", version)
		first := harness.Enter(t, s, version, harness.Hello{ID: id, Password: a.Token(id, north), Keep: true})
		harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: b.Token(id, north)}, harness.NotAuthorized, "session-owner")
		if live := s.Sessions("a/" + id); len(live) != 1 || live[0].ID != id {
			t.Errorf("the API lists %+v, want the session of a/%s", live, id)
		}
		local := harness.Hello{ID: id, Password: s.Token(s.Service(id, "pub:{client_id}/#"))}
		w := harness.Resume(t, s, version, local, false)
		first.ExpectDisconnect(0x8e)
		harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: a.Token(id, north)}, harness.NotAuthorized, "session-owner")
		w.Leave()

		// What an operator does to the local client is nothing to the foreign ones, and what they publish is theirs.
		foreign := harness.Enter(t, s, version, harness.Hello{ID: id + ":f", Password: a.Token(id, north)})
		foreign.Publish(harness.Message{Topic: "plant/north/" + id + "/x", Payload: "kept", QoS: 1, Retain: true})
		if got := s.End(http.MethodDelete, "/v1/services/"+id, nil); got.Sessions != 0 || got.Retained != 0 {
			t.Errorf("the receipt for a local client says %+v, which is the foreign one's", got)
		}
		foreign.Ping()
		foreign.Leave()
	})
}

func TestJ3_AForeignClientIDWidensNoPatternOfMQTTClientIDs(t *testing.T) {
	t.Parallel()
	i := harness.NewIssuer(t, "elsewhere")
	s := harness.StartWithIssuers(t, siteScopes, i)
	for id, mqttIDs := range map[string][]string{
		"*":     {"*", "any", "meter", "*:x", ":"},
		"m*":    {"m*", "meter", "m", "m*:x"},
		"meter": {"metering", "Meter", "elsewhere/meter", "elsewhere/meter:x"},
		"a/b":   {"a", "b", "a/c"},
	} {
		for _, mqttID := range mqttIDs {
			t.Run(id+" as "+mqttID, func(t *testing.T) {
				h := harness.Hello{ID: mqttID, Password: i.Token(id, north)}
				for _, version := range harness.Versions {
					harness.ExpectRefused(t, s.In(t), version, h, harness.NotAuthorized, "mqtt-client-id")
				}
			})
		}
	}
	for _, id := range []string{"", "a b", "a\nb", "a\x00b", "\u0085", strings.Repeat("x", 300)} {
		h := harness.Hello{ID: "meter", Password: i.Token(id, north)}
		harness.ExpectRefused(t, s, 5, h, harness.BadToken, "token-claims")
	}
}

func TestS6_ARenewalWithAnotherIssuersTokenEndsTheConnection(t *testing.T) {
	t.Parallel()
	a, b := harness.NewIssuer(t, "a"), harness.NewIssuer(t, "b")
	s := harness.StartWithIssuers(t, siteScopes, a, b)
	tokens := map[string]string{"own": s.Token(s.Service("meter", "pub:a")), "a": a.Token("meter", north), "b": b.Token("meter", north)}
	for from, first := range tokens {
		for to, next := range tokens {
			w := enterByMethod(t, s, fmt.Sprint("meter:", from, "-", to), first)
			if from == to {
				w.MustRenew(oauth2JWT, next)
				w.Leave()
				continue
			}
			if p := w.Renew(oauth2JWT, next); p.Kind != harness.TypeDisconnect || p.Code() != 0x87 {
				t.Errorf("from %s to %s: a packet of type %d, code 0x%02x; want DISCONNECT 0x87", from, to, p.Kind, p.Code())
			}
			w.ExpectClosed()
			s.Log.Wait(t, "event=renew", "rule=renewal-principal ", "remote="+w.Remote()+" ")
		}
	}
}
