package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Attacks on topics, A6, A11 and A14: values, filters and scopes that are made to be misread.

func TestA6_NoPlaceholderValueWidensAGrant(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i, test := range []struct {
		value string
		means bool // the value stands for itself, so it may be a level of a topic
	}{
		{"north", true},
		{"a.b-c_1", true},
		{"é", true},
		{"e\u0301", true},
		{"north site", true},
		{`"`, true},
		{`\`, true},
		{"?", true},
		{"%", true},
		{"+", false},
		{"#", false},
		{"a/b", false},
		{"", false},
		{"\x00", false},
		{"a\x00b", false},
		{"\x01", false},
		{"a\nb", false},
		{"\u0085", false},
		{"north+", false},
		{"north#", false},
		{"/", false},
		{strings.Repeat("x", 300), false},
		{"+?qos=2", false},
		{"a/#", false},
		{"{sub}", true},
		{"{client_id}", true},
		{"{labels.other}", true},
		{"{labels.site|+}", false},
		{".*", true},
		{"*", true},
		{"%2F", true},
		{"%2B", true},
		{"%23", true},
		{"?qos=2", true},
		{"north?retain=false", true},
		{"{", true},
		{"}", true},
		{"$SYS", true},
		{"..", true},
		{"-", true},
	} {
		for _, source := range []string{"labels", "attributes"} {
			id := name("a6", source, i)
			body := grants(id, "pub:t/{"+source+".site}/x", "sub:t/{"+source+".site}/x", "pub:"+id+"/own")
			body[source] = map[string]any{"site": test.value}
			status, answer := s.fleet(http.MethodPost, "/v1/services", body)
			if status != http.StatusCreated {
				if test.means && status != http.StatusUnprocessableEntity {
					t.Errorf("%s %q: %d %s", source, test.value, status, answer)
				}
				continue // a value that is not taken widens nothing
			}
			var c credential
			must(t, json.Unmarshal(answer, &c))
			w := enter(t, s, 5, hello{id: id, password: s.token(c)})
			own := "t/" + test.value + "/x"
			for _, topic := range []string{
				"t/other/x", "t/" + id + "/x", "t/a/x", "t//x", "t/a/b/x", "t/x", "t/site/x", "t/North/x", "t/north/x", "t/é/x", "t/e\u0301/x", "t", own,
			} {
				allowed := topic == own && test.means
				if strings.ContainsAny(topic, "+#\x00\x01\n\u0085") || len(topic) > 200 {
					continue // no topic name at all
				}
				if code := w.publish(message{topic: topic, qos: 1}); code != 0 && code != 0x87 || code == 0 && !allowed {
					t.Errorf("%s %q: PUBLISH to %q: 0x%02x", source, test.value, topic, code)
				}
			}
			for _, filter := range []string{"t/+/x", "t/#", "#", "t/other/x", "t/" + id + "/x", "t/a/b/x", "t//x"} {
				if code := w.subscribe(0, filter)[0]; !isDenied(code) && filter != own {
					t.Errorf("%s %q: SUBSCRIBE %s: 0x%02x", source, test.value, filter, code)
				}
			}
			if code := w.publish(message{topic: id + "/own", qos: 1}); code != 0 {
				t.Errorf("%s %q: the client's other grant is gone: 0x%02x", source, test.value, code)
			}
			w.leave()
		}
	}
}

func TestA6_APlainPlaceholderValueGrantsItsTopic(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	body := grants("meter", "pub:{kind}/{labels.site}/{client_id}/{attributes.floor}", "pub:{labels.absent|any}/x", "pub:{labels.absent}/y")
	body["labels"] = map[string]any{"site": "north"}
	body["attributes"] = map[string]any{"floor": "b2"}
	w := enter(t, s, 5, hello{id: "meter", password: s.token(s.provision("services", body))})
	for topic, want := range map[string]byte{"service/north/meter/b2": 0, "any/x": 0, "service/north/meter/b3": 0x87, "any/y": 0x87, "/y": 0x87} {
		if code := w.publish(message{topic: topic, qos: 1}); code != want {
			t.Errorf("PUBLISH to %s: 0x%02x, want 0x%02x", topic, code, want)
		}
	}
}

func TestA6_AClientIDIsAPlainName(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, id := range []string{"+", "#", "a/b", "a+", "\x00", "a\x00", "{sub}", ".*", "%2F", strings.Repeat("x", 65), "é", "e\u0301", "A", "a b", "-a", "$sys", "a:b"} {
		if status, answer := s.fleet(http.MethodPost, "/v1/services", grants(id, "pub:t/{client_id}/x")); status != http.StatusUnprocessableEntity {
			t.Errorf("client ID %q: %d %s", id, status, answer)
		}
	}
}

func TestA11_MalformedFiltersAreRefusedAndDoNoHarm(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("all", "sub:#", "pub:#"))
	eachVersion(t, func(t *testing.T, version byte) {
		w := enter(t, s, version, hello{id: "all", password: token})
		for _, filter := range []string{"a#", "a+b", "#/a", "a/#/b", "a/b#", "+a", "a/+b", "##", "++", "a/##", "$share/g/a#", "$share/g/#/a"} {
			if code := w.subscribe(1, filter)[0]; !isDenied(code) {
				t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
		for _, filter := range []string{"", "a\x00b", "a\xffb", "\xed\xa0\x80"} { // not even a filter (MQTT 5.0 §4.7.3, §1.5.4)
			bad := enter(t, s, version, hello{id: "all:bad", password: token})
			bad.send(encodeSubscribe(version, 7, 0, filter))
			if p, err := bad.read(); err == nil && (p.kind == typeSuback && !isDenied(p.code()) || p.kind == typePublish) {
				t.Errorf("SUBSCRIBE %q: %+v", filter, p)
			}
		}
		w.mustSubscribe(1, "a/b")
		w.publish(message{topic: "a/b", qos: 1})
		w.until("a/b")
	})
}

func TestA11_AVeryDeepTopicCostsNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("all", "sub:#", "pub:#"))
	deep := map[string]string{
		"65,000 levels":     strings.Repeat("/", 65000),
		"32,000 names":      strings.Repeat("a/", 32000),
		"32,000 wildcards":  strings.Repeat("+/", 32000) + "+",
		"a shared group":    "$share/g/" + strings.Repeat("a/", 32000),
		"129 levels":        strings.Repeat("a/", 128) + "a",
		"a very long level": strings.Repeat("x", 65000),
	}
	eachVersion(t, func(t *testing.T, version byte) {
		other := enter(t, s, version, hello{id: "all:other", password: token})
		other.mustSubscribe(1, "#")
		for what, topic := range deep {
			w := enter(t, s, version, hello{id: "all", password: token})
			if code := w.subscribe(1, topic)[0]; !isDenied(code) {
				t.Errorf("%s: SUBSCRIBE: 0x%02x", what, code)
			}
			if strings.ContainsAny(topic, "+$") {
				continue
			}
			if code := w.publish(message{topic: topic, qos: 1}); version == 5 && code != 0x87 {
				t.Errorf("%s: PUBLISH: 0x%02x", what, code)
			}
			// An UNSUBSCRIBE may cost the connection, or be answered; others go on.
			w.send(frame(typeUnsubscribe<<4|2, append([]byte{0, 9}, append(emptyProperties(version), field(topic)...)...)))
			if p, err := w.read(); err == nil && p.kind != typeUnsuback && p.kind != typeDisconnect {
				t.Errorf("%s: UNSUBSCRIBE is answered with a packet of type %d", what, p.kind)
			}
			expectRefused(t, s.in(t), version, hello{id: "all", password: token, will: &message{topic: topic, payload: "x"}},
				notAuthorized, "will-outside-grants")
		}
		other.publish(message{topic: "marker", qos: 1})
		other.expectTopics("marker")
	})
}

// emptyProperties is the property length of a packet that has none; 3.1.1 knows no properties.
func emptyProperties(version byte) []byte {
	if version == 5 {
		return []byte{0}
	}
	return nil
}

func TestA11_ATokenWithVeryManyScopesIsJudgedInBoundedTime(t *testing.T) {
	t.Parallel()
	s, f := startForging(t)
	genuine := s.token(s.service("meter", "pub:last"))
	many := func(n int) claims {
		scopes := make([]string, 0, n+1)
		for i := range n {
			scopes = append(scopes, fmt.Sprintf("pub:%x", i))
		}
		return claims{"scope": nil, "scp": append(scopes, "pub:last")}
	}
	eachVersion(t, func(t *testing.T, version byte) {
		w := enter(t, s, version, hello{id: "meter", password: f.in(t).alter(genuine, many(500))})
		for topic, want := range map[string]byte{"last": 0, "0": 0, "1f3": 0, "1f4": 0x87, "las": 0x87} {
			if code := w.publish(message{topic: topic, qos: 1}); version == 5 && code != want {
				t.Errorf("PUBLISH to %s: 0x%02x, want 0x%02x", topic, code, want)
			}
		}
		expectRefused(t, s.in(t), version, hello{id: "meter", password: f.in(t).alter(genuine, many(2048))}, badToken, "token-too-large")
	})
}

func TestA14_NothingIsGuessedFromTheScopesOfAToken(t *testing.T) {
	t.Parallel()
	s, f := startForging(t)
	genuine := s.token(s.service("meter", "pub:a"))
	const granted, nothing, refused = "granted", "nothing", "refused"
	for what, test := range map[string]struct {
		token string
		want  string
	}{
		"the genuine token":        {genuine, granted},
		"signed again unchanged":   {f.alter(genuine, nil), granted},
		"scp alone":                {f.alter(genuine, claims{"scope": nil}), granted},
		"scope alone":              {f.alter(genuine, claims{"scp": nil}), granted},
		"scp as a string":          {f.alter(genuine, claims{"scope": nil, "scp": "sub:b pub:a"}), granted},
		"scp with one scope twice": {f.alter(genuine, claims{"scope": nil, "scp": []string{"pub:a", "pub:a"}}), granted},

		"neither":                   {f.alter(genuine, claims{"scope": nil, "scp": nil}), nothing},
		"an empty array":            {f.alter(genuine, claims{"scope": nil, "scp": []string{}}), nothing},
		"an empty string":           {f.alter(genuine, claims{"scope": nil, "scp": ""}), nothing},
		"both empty":                {f.alter(genuine, claims{"scope": "", "scp": []string{}}), nothing},
		"the prefix publish":        {f.alter(genuine, claims{"scope": nil, "scp": []string{"publish:a"}}), nothing},
		"the prefix PUB":            {f.alter(genuine, claims{"scope": nil, "scp": []string{"PUB:a", "Pub:a"}}), nothing},
		"no colon":                  {f.alter(genuine, claims{"scope": nil, "scp": []string{"pub", "puba", "pub=a", "pub/a"}}), nothing},
		"an empty filter":           {f.alter(genuine, claims{"scope": nil, "scp": []string{"pub:"}}), nothing},
		"spaces around":             {f.alter(genuine, claims{"scope": nil, "scp": []string{" pub:a", "pub:a ", "pub: a", "pub :a"}}), refused},
		"two scopes in one":         {f.alter(genuine, claims{"scope": nil, "scp": []string{"sub:b pub:a"}}), refused},
		"commas":                    {f.alter(genuine, claims{"scp": nil, "scope": "sub:b,pub:a"}), nothing},
		"a bad limit":               {f.alter(genuine, claims{"scope": nil, "scp": []string{"pub:a?qos=3", "pub:a?", "pub:a?x=1", "pub:a?qos=1&qos=2"}}), nothing},
		"a malformed filter":        {f.alter(genuine, claims{"scope": nil, "scp": []string{"pub:a#", "pub:#/a", "pub:+a"}}), nothing},
		"a placeholder":             {f.alter(genuine, claims{"scope": nil, "scp": []string{"pub:{client_id}", "pub:{labels.site|a}"}}), nothing},
		"a right to subscribe":      {f.alter(genuine, claims{"scope": nil, "scp": []string{"sub:a"}}), nothing},
		"scopes of another name":    {f.alter(genuine, claims{"scope": nil, "scp": nil, "scopes": []string{"pub:a"}, "permissions": []string{"pub:a"}}), nothing},
		"numbers":                   {f.alter(genuine, claims{"scope": nil, "scp": []any{1, 2}}), refused},
		"a number among scopes":     {f.alter(genuine, claims{"scope": nil, "scp": []any{"pub:a", 1}}), refused},
		"nested arrays":             {f.alter(genuine, claims{"scope": nil, "scp": []any{[]string{"pub:a"}}}), refused},
		"an object":                 {f.alter(genuine, claims{"scope": nil, "scp": claims{"pub:a": true}}), refused},
		"true":                      {f.alter(genuine, claims{"scope": nil, "scp": true}), refused},
		"null":                      {f.alter(genuine, claims{"scope": nil, "scp": null}), refused},
		"null beside scope":         {f.alter(genuine, claims{"scp": null}), refused},
		"scope as a number":         {f.alter(genuine, claims{"scp": nil, "scope": 1}), refused},
		"SCP":                       {f.alter(genuine, claims{"scope": nil, "scp": nil, "SCP": []string{"pub:a"}}), refused},
		"Scope":                     {f.alter(genuine, claims{"scope": nil, "scp": nil, "Scope": "pub:a"}), refused},
		"scp and SCP":               {f.alter(genuine, claims{"SCP": []string{"pub:#"}}), refused},
		"scp twice":                 {f.append(genuine, `"scp":["pub:a"]`), refused},
		"scope twice":               {f.append(genuine, `"scope":"pub:#"`), refused},
		"scope wider than scp":      {f.alter(genuine, claims{"scope": "pub:a pub:b"}), refused},
		"scp wider than scope":      {f.alter(genuine, claims{"scp": []string{"pub:a", "pub:#"}}), refused},
		"scope and scp disagree":    {f.alter(genuine, claims{"scope": "pub:b"}), refused},
		"scp empty, scope not":      {f.alter(genuine, claims{"scp": []string{}}), refused},
		"scope empty, scp not":      {f.alter(genuine, claims{"scope": ""}), refused},
		"a limit in one of the two": {f.alter(genuine, claims{"scope": "pub:a?qos=0"}), refused},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range versions {
				w := dial(t, s.mqtt, version)
				ack := w.connect(hello{id: "meter", password: test.token})
				if test.want == refused {
					if ack.code() != badToken.in(version) {
						t.Errorf("CONNACK 0x%02x, want the token refused", ack.code())
					}
					continue
				}
				if ack.code() != 0 {
					t.Fatalf("CONNACK 0x%02x", ack.code())
				}
				for _, topic := range []string{"a", "b", "ab", "a/b", "meter", " a"} {
					want := byte(0x87)
					if test.want == granted && topic == "a" {
						want = 0
					}
					if code := w.publish(message{topic: topic, qos: 1}); version == 5 && code != want {
						t.Errorf("PUBLISH to %q: 0x%02x, want 0x%02x", topic, code, want)
					}
				}
				filters := []string{"#", "a/b", "c"}
				for i, code := range w.subscribe(0, filters...) {
					if !isDenied(code) {
						t.Errorf("SUBSCRIBE %s: 0x%02x", filters[i], code)
					}
				}
			}
		})
	}
}
