package attacks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on topics, A6, A11 and A14: values, filters and scopes that are made to be misread.

func TestA6_NoPlaceholderValueWidensAGrant(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
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
			id := harness.Name("a6", source, i)
			body := harness.Grants(id, "pub:t/{"+source+".site}/x", "sub:t/{"+source+".site}/x", "pub:"+id+"/own")
			body[source] = map[string]any{"site": test.value}
			status, answer := s.Fleet(http.MethodPost, "/v1/services", body)
			if status != http.StatusCreated {
				if test.means && status != http.StatusUnprocessableEntity {
					t.Errorf("%s %q: %d %s", source, test.value, status, answer)
				}
				continue // a value that is not taken widens nothing
			}
			var c harness.Credential
			harness.Must(t, json.Unmarshal(answer, &c))
			w := harness.Enter(t, s, 5, harness.Hello{ID: id, Password: s.Token(c)})
			own := "t/" + test.value + "/x"
			for _, topic := range []string{
				"t/other/x", "t/" + id + "/x", "t/a/x", "t//x", "t/a/b/x", "t/x", "t/site/x", "t/North/x", "t/north/x", "t/é/x", "t/e\u0301/x", "t", own,
			} {
				allowed := topic == own && test.means
				if strings.ContainsAny(topic, "+#\x00\x01\n\u0085") || len(topic) > 200 {
					continue // no topic name at all
				}
				if code := w.Publish(harness.Message{Topic: topic, QoS: 1}); code != 0 && code != 0x87 || code == 0 && !allowed {
					t.Errorf("%s %q: PUBLISH to %q: 0x%02x", source, test.value, topic, code)
				}
			}
			for _, filter := range []string{"t/+/x", "t/#", "#", "t/other/x", "t/" + id + "/x", "t/a/b/x", "t//x"} {
				if code := w.Subscribe(0, filter)[0]; !isDenied(code) && filter != own {
					t.Errorf("%s %q: SUBSCRIBE %s: 0x%02x", source, test.value, filter, code)
				}
			}
			if code := w.Publish(harness.Message{Topic: id + "/own", QoS: 1}); code != 0 {
				t.Errorf("%s %q: the client's other grant is gone: 0x%02x", source, test.value, code)
			}
			w.Leave()
		}
	}
}

func TestA6_APlainPlaceholderValueGrantsItsTopic(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	body := harness.Grants("meter", "pub:{kind}/{labels.site}/{client_id}/{attributes.floor}", "pub:{labels.absent|any}/x", "pub:{labels.absent}/y")
	body["labels"] = map[string]any{"site": "north"}
	body["attributes"] = map[string]any{"floor": "b2"}
	w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: s.Token(s.Provision("services", body))})
	for topic, want := range map[string]byte{"service/north/meter/b2": 0, "any/x": 0, "service/north/meter/b3": 0x87, "any/y": 0x87, "/y": 0x87} {
		if code := w.Publish(harness.Message{Topic: topic, QoS: 1}); code != want {
			t.Errorf("PUBLISH to %s: 0x%02x, want 0x%02x", topic, code, want)
		}
	}
}

func TestA6_AClientIDIsAPlainName(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	for _, id := range []string{"+", "#", "a/b", "a+", "\x00", "a\x00", "{sub}", ".*", "%2F", strings.Repeat("x", 65), "é", "e\u0301", "A", "a b", "-a", "$sys", "a:b"} {
		if status, answer := s.Fleet(http.MethodPost, "/v1/services", harness.Grants(id, "pub:t/{client_id}/x")); status != http.StatusUnprocessableEntity {
			t.Errorf("client ID %q: %d %s", id, status, answer)
		}
	}
}

func TestA11_MalformedFiltersAreRefusedAndDoNoHarm(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("all", "sub:#", "pub:#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		w := harness.Enter(t, s, version, harness.Hello{ID: "all", Password: token})
		for _, filter := range []string{"a#", "a+b", "#/a", "a/#/b", "a/b#", "+a", "a/+b", "##", "++", "a/##", "$share/g/a#", "$share/g/#/a"} {
			if code := w.Subscribe(1, filter)[0]; !isDenied(code) {
				t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
		for _, filter := range []string{"", "a\x00b", "a\xffb", "\xed\xa0\x80"} { // not even a filter (MQTT 5.0 §4.7.3, §1.5.4)
			bad := harness.Enter(t, s, version, harness.Hello{ID: "all:bad", Password: token})
			bad.Send(harness.EncodeSubscribe(version, 7, 0, filter))
			if p, err := bad.Read(); err == nil && (p.Kind == harness.TypeSuback && !isDenied(p.Code()) || p.Kind == harness.TypePublish) {
				t.Errorf("SUBSCRIBE %q: %+v", filter, p)
			}
		}
		w.MustSubscribe(1, "a/b")
		w.Publish(harness.Message{Topic: "a/b", QoS: 1})
		w.Until("a/b")
	})
}

func TestA11_AVeryDeepTopicCostsNothing(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("all", "sub:#", "pub:#"))
	deep := map[string]string{
		"65,000 levels":     strings.Repeat("/", 65000),
		"32,000 names":      strings.Repeat("a/", 32000),
		"32,000 wildcards":  strings.Repeat("+/", 32000) + "+",
		"a shared group":    "$share/g/" + strings.Repeat("a/", 32000),
		"129 levels":        strings.Repeat("a/", 128) + "a",
		"a very long level": strings.Repeat("x", 65000),
	}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		other := harness.Enter(t, s, version, harness.Hello{ID: "all:other", Password: token})
		other.MustSubscribe(1, "#")
		for what, topic := range deep {
			w := harness.Enter(t, s, version, harness.Hello{ID: "all", Password: token})
			if code := w.Subscribe(1, topic)[0]; !isDenied(code) {
				t.Errorf("%s: SUBSCRIBE: 0x%02x", what, code)
			}
			if strings.ContainsAny(topic, "+$") {
				continue
			}
			if code := w.Publish(harness.Message{Topic: topic, QoS: 1}); version == 5 && code != 0x87 {
				t.Errorf("%s: PUBLISH: 0x%02x", what, code)
			}
			// An UNSUBSCRIBE may cost the connection, or be answered; others go on.
			w.Send(harness.Frame(harness.TypeUnsubscribe<<4|2, append([]byte{0, 9}, append(emptyProperties(version), harness.Field(topic)...)...)))
			if p, err := w.Read(); err == nil && p.Kind != harness.TypeUnsuback && p.Kind != harness.TypeDisconnect {
				t.Errorf("%s: UNSUBSCRIBE is answered with a packet of type %d", what, p.Kind)
			}
			harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "all", Password: token, Will: &harness.Message{Topic: topic, Payload: "x"}},
				harness.NotAuthorized, "will-outside-grants")
		}
		other.Publish(harness.Message{Topic: "marker", QoS: 1})
		other.ExpectTopics("marker")
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
	s, f := harness.StartForging(t)
	genuine := s.Token(s.Service("meter", "pub:+"))
	many := func(n int) harness.Claims {
		scopes := make([]string, 0, n+1)
		for i := range n {
			scopes = append(scopes, fmt.Sprintf("pub:%x", i))
		}
		return harness.Claims{"scope": nil, "scp": append(scopes, "pub:last")}
	}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: f.In(t).Alter(genuine, many(500))})
		for topic, want := range map[string]byte{"last": 0, "0": 0, "1f3": 0, "1f4": 0x87, "las": 0x87} {
			if code := w.Publish(harness.Message{Topic: topic, QoS: 1}); version == 5 && code != want {
				t.Errorf("PUBLISH to %s: 0x%02x, want 0x%02x", topic, code, want)
			}
		}
		harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "meter", Password: f.In(t).Alter(genuine, many(2048))}, harness.BadToken, "token-too-large")
	})
}

func TestA14_NothingIsGuessedFromTheScopesOfAToken(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	genuine := s.Token(s.Service("meter", "pub:a"))
	const granted, nothing, refused = "granted", "nothing", "refused"
	for what, test := range map[string]struct {
		token string
		want  string
	}{
		"the genuine token":        {genuine, granted},
		"signed again unchanged":   {f.Alter(genuine, nil), granted},
		"scp alone":                {f.Alter(genuine, harness.Claims{"scope": nil}), granted},
		"scope alone":              {f.Alter(genuine, harness.Claims{"scp": nil}), granted},
		"scp as a string":          {f.Alter(genuine, harness.Claims{"scope": nil, "scp": "sub:b pub:a"}), granted},
		"scp with one scope twice": {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"pub:a", "pub:a"}}), granted},

		"neither":                   {f.Alter(genuine, harness.Claims{"scope": nil, "scp": nil}), nothing},
		"an empty array":            {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{}}), nothing},
		"an empty string":           {f.Alter(genuine, harness.Claims{"scope": nil, "scp": ""}), nothing},
		"both empty":                {f.Alter(genuine, harness.Claims{"scope": "", "scp": []string{}}), nothing},
		"the prefix publish":        {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"publish:a"}}), nothing},
		"the prefix PUB":            {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"PUB:a", "Pub:a"}}), nothing},
		"no colon":                  {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"pub", "puba", "pub=a", "pub/a"}}), nothing},
		"an empty filter":           {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"pub:"}}), nothing},
		"spaces around":             {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{" pub:a", "pub:a ", "pub: a", "pub :a"}}), refused},
		"two scopes in one":         {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"sub:b pub:a"}}), refused},
		"commas":                    {f.Alter(genuine, harness.Claims{"scp": nil, "scope": "sub:b,pub:a"}), nothing},
		"a bad limit":               {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"pub:a?qos=3", "pub:a?", "pub:a?x=1", "pub:a?qos=1&qos=2"}}), nothing},
		"a malformed filter":        {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"pub:a#", "pub:#/a", "pub:+a"}}), nothing},
		"a placeholder":             {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"pub:{client_id}", "pub:{labels.site|a}"}}), nothing},
		"a right to subscribe":      {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []string{"sub:a"}}), nothing},
		"scopes of another name":    {f.Alter(genuine, harness.Claims{"scope": nil, "scp": nil, "scopes": []string{"pub:a"}, "permissions": []string{"pub:a"}}), nothing},
		"numbers":                   {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []any{1, 2}}), refused},
		"a number among scopes":     {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []any{"pub:a", 1}}), refused},
		"nested arrays":             {f.Alter(genuine, harness.Claims{"scope": nil, "scp": []any{[]string{"pub:a"}}}), refused},
		"an object":                 {f.Alter(genuine, harness.Claims{"scope": nil, "scp": harness.Claims{"pub:a": true}}), refused},
		"true":                      {f.Alter(genuine, harness.Claims{"scope": nil, "scp": true}), refused},
		"null":                      {f.Alter(genuine, harness.Claims{"scope": nil, "scp": harness.Null}), refused},
		"null beside scope":         {f.Alter(genuine, harness.Claims{"scp": harness.Null}), refused},
		"scope as a number":         {f.Alter(genuine, harness.Claims{"scp": nil, "scope": 1}), refused},
		"SCP":                       {f.Alter(genuine, harness.Claims{"scope": nil, "scp": nil, "SCP": []string{"pub:a"}}), refused},
		"Scope":                     {f.Alter(genuine, harness.Claims{"scope": nil, "scp": nil, "Scope": "pub:a"}), refused},
		"scp and SCP":               {f.Alter(genuine, harness.Claims{"SCP": []string{"pub:#"}}), refused},
		"scp twice":                 {f.Append(genuine, `"scp":["pub:a"]`), refused},
		"scope twice":               {f.Append(genuine, `"scope":"pub:#"`), refused},
		"scope wider than scp":      {f.Alter(genuine, harness.Claims{"scope": "pub:a pub:b"}), refused},
		"scp wider than scope":      {f.Alter(genuine, harness.Claims{"scp": []string{"pub:a", "pub:#"}}), refused},
		"scope and scp disagree":    {f.Alter(genuine, harness.Claims{"scope": "pub:b"}), refused},
		"scp empty, scope not":      {f.Alter(genuine, harness.Claims{"scp": []string{}}), refused},
		"scope empty, scp not":      {f.Alter(genuine, harness.Claims{"scope": ""}), refused},
		"a limit in one of the two": {f.Alter(genuine, harness.Claims{"scope": "pub:a?qos=0"}), refused},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range harness.Versions {
				w := harness.Dial(t, s.MQTT, version)
				ack := w.Connect(harness.Hello{ID: "meter", Password: test.token})
				if test.want == refused {
					if ack.Code() != harness.BadToken.In(version) {
						t.Errorf("CONNACK 0x%02x, want the token refused", ack.Code())
					}
					continue
				}
				if ack.Code() != 0 {
					t.Fatalf("CONNACK 0x%02x", ack.Code())
				}
				for _, topic := range []string{"a", "b", "ab", "a/b", "meter", " a"} {
					want := byte(0x87)
					if test.want == granted && topic == "a" {
						want = 0
					}
					if code := w.Publish(harness.Message{Topic: topic, QoS: 1}); version == 5 && code != want {
						t.Errorf("PUBLISH to %q: 0x%02x, want 0x%02x", topic, code, want)
					}
				}
				filters := []string{"#", "a/b", "c"}
				for i, code := range w.Subscribe(0, filters...) {
					if !isDenied(code) {
						t.Errorf("SUBSCRIBE %s: 0x%02x", filters[i], code)
					}
				}
			}
		})
	}
}
