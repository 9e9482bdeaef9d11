package topicacl_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func TestA1_AFilterWiderThanItsGrantIsRefused(t *testing.T) {
	t.Parallel()
	refused := map[string][]string{
		"sub:a/+":   {"a/#", "+/#", "#", "+/+", "a/+/#", "a/+/+", "a", "+"},
		"sub:+":     {"#", "+/#", "+/+", "/"},
		"sub:a/+/+": {"a/+/#", "a/#", "a/+", "+/+/+"},
		"sub:a/b":   {"a/+", "+/b", "a/b/#", "a/#", "#"},
		"sub:a/#":   {"#", "+/#", "+", "b/#", "+/b"},
		"sub:+/a/#": {"#", "+/#", "+/+/#", "+/+"},
		"sub:+/+/#": {"#", "+/#", "+"},
	}
	for grant, filters := range refused {
		for _, grants := range []*topicacl.Grants{compile(t, grant), amongMany(t, grant)} {
			for _, filter := range filters {
				if got := grants.Subscribe(filter); got != (topicacl.Verdict{Reason: topicacl.ReasonNoGrant}) {
					t.Errorf("%s of %d: Subscribe(%q) = %+v, want it refused for want of a grant", grant, grants.Len(), filter, got)
				}
			}
		}
	}
}

func TestA1_AFilterWithinItsGrantIsAllowed(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"sub:a/#":   {"a/#", "a", "a/b", "a/+", "a/+/c", "a/+/#", "a//", "a/$SYS"},
		"sub:a/+":   {"a/+", "a/b", "a/"},
		"sub:#":     {"#", "+", "+/#", "a/b", "/", "+/$x"},
		"sub:+/#":   {"#", "+", "+/#", "a"},
		"sub:+":     {"+", "a"},
		"sub:a/+/c": {"a/+/c", "a/b/c", "a//c"},
	}
	for grant, filters := range allowed {
		want := topicacl.Verdict{Allowed: true, MaxQoS: 2, Grant: grant, Reason: topicacl.ReasonGranted}
		for _, grants := range []*topicacl.Grants{compile(t, grant), amongMany(t, grant)} {
			for _, filter := range filters {
				if got := grants.Subscribe(filter); got != want {
					t.Errorf("%s of %d: Subscribe(%q) = %+v, want %+v", grant, grants.Len(), filter, got, want)
				}
			}
		}
	}
}

func TestA1_TwoGrantsTogetherContainNoMoreThanEachAlone(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:a/+", "sub:a/+/#", "sub:a")
	if got := grants.Subscribe("a/#"); got.Allowed {
		t.Errorf("Subscribe(a/#) = %+v; no single grant contains it", got)
	}
}

func TestA2_NamesAreComparedLevelByLevelAndByteByByte(t *testing.T) {
	t.Parallel()
	cases := []struct {
		grant   string
		allowed []string
		refused []string
	}{
		{"pub:a/b", []string{"a/b"}, []string{"a/b/c", "a/bc", "a/b/", "/a/b", "a//b", "A/b", "a", "a/B"}},
		{"pub:a/#", []string{"a", "a/", "a/b", "a//b", "a/b/c"}, []string{"ab", "aa/b", "/a", "A"}},
		{"pub:a//b", []string{"a//b"}, []string{"a/b", "a/x/b", "a///b"}},
		{"pub:/a", []string{"/a"}, []string{"a", "//a", "/a/"}},
		{"pub:a/", []string{"a/"}, []string{"a", "a//", "a/b"}},
		{"pub:+/+", []string{"a/b", "/", "a/", "/b"}, []string{"a", "a/b/c", "//"}},
		{"pub:caf%C3%A9", []string{"caf\u00e9"}, []string{"cafe\u0301", "CAF\u00c9"}},
	}
	for _, c := range cases {
		grants := compile(t, c.grant)
		for _, topic := range c.allowed {
			if got := grants.Publish(topic, 2, true); !got.Allowed {
				t.Errorf("%s: Publish(%q) = %+v, want it allowed", c.grant, topic, got)
			}
		}
		for _, topic := range c.refused {
			if got := grants.Publish(topic, 0, false); got.Reason != topicacl.ReasonNoGrant {
				t.Errorf("%s: Publish(%q) = %+v, want it refused for want of a grant", c.grant, topic, got)
			}
		}
	}
}

func TestA4_ASharedSubscriptionIsJudgedOnItsFilter(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:a/+?qos=1")
	for _, share := range []string{"$share", "$SHARE", "$Share", "$sHaRe"} {
		for _, group := range []string{"g", "group-1", "a.b_c:d@e~f", "0"} {
			if got := grants.Subscribe(share + "/" + group + "/a/+"); !got.Allowed || got.MaxQoS != 1 {
				t.Errorf("Subscribe(%s/%s/a/+) = %+v, want it allowed at QoS 1", share, group, got)
			}
			for _, filter := range []string{"#", "a/#", "b", "+/a"} {
				if got := grants.Subscribe(share + "/" + group + "/" + filter); got.Reason != topicacl.ReasonNoGrant {
					t.Errorf("Subscribe(%s/%s/%s) = %+v, want it refused for want of a grant", share, group, filter, got)
				}
			}
		}
	}
}

func TestA4_AnOddSharedSubscriptionIsRefused(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:#", "sub:a/#", "sub:g")
	for _, filter := range []string{
		"$share", "$share/", "$share/g", "$share/g/", "$SHARE/g", "$share//a", "$share/+/a", "$share/#", "$share/#/a", "$share/g+/a",
		"$share/g#/a", "$share/g h/a", "$share/g\x00/a", "$share/g\x1f/a", "$share/g\xff/a", "$share/$g/a", "$share/caf\u00e9/a",
		"$share/" + strings.Repeat("g", 129) + "/a", "$share/g/$share/h/a", "$share/g/$SHARE/h/a", "$\u017fhare/g/a",
	} {
		if got := grants.Subscribe(filter); got != (topicacl.Verdict{Reason: topicacl.ReasonShare}) {
			t.Errorf("Subscribe(%q) = %+v, want a malformed shared subscription", filter, got)
		}
	}
	for _, filter := range []string{"$share/g/a#", "$share/g/#/a", "$share/g/a\x00"} {
		if got := grants.Subscribe(filter); got.Reason != topicacl.ReasonFilter {
			t.Errorf("Subscribe(%q) = %+v, want a malformed filter", filter, got)
		}
	}
}

func TestA5_AWildcardNeverReachesTopicsThatBeginWithADollar(t *testing.T) {
	t.Parallel()
	wild := []string{"sub:#", "sub:+/#", "sub:+", "sub:+/x", "sub:+/+/x", "pub:#", "pub:+/x"}
	for _, grants := range []*topicacl.Grants{compile(t, wild...), amongMany(t, wild...)} {
		checkDollarIsOutOfReach(t, grants)
	}
}

func checkDollarIsOutOfReach(t *testing.T, grants *topicacl.Grants) {
	t.Helper()
	for _, filter := range []string{"$SYS", "$SYS/#", "$SYS/x", "$other/x", "$", "$/x", "$share/g/$SYS/#", "$SHARE/g/$other/x"} {
		if got := grants.Subscribe(filter); got.Allowed {
			t.Errorf("Subscribe(%q) = %+v, want it refused", filter, got)
		}
	}
	for _, topic := range []string{"$SYS", "$SYS/x", "$other/x", "$", "$/x"} {
		if grants.Deliver(topic) {
			t.Errorf("Deliver(%q) is allowed", topic)
		}
		if got := grants.Publish(topic, 0, false); got.Allowed {
			t.Errorf("Publish(%q) = %+v, want it refused", topic, got)
		}
	}
	if !grants.Deliver("a/$SYS/x") {
		t.Error("a dollar below the first level is nothing special, but Deliver(a/$SYS/x) is refused")
	}
}

func TestA5_ADollarTopicIsReachedByAGrantThatSpellsIt(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:$SYS/#", "pub:$other/+")
	if got := grants.Subscribe("$SYS/broker/+"); !got.Allowed {
		t.Errorf("Subscribe($SYS/broker/+) = %+v", got)
	}
	if !grants.Deliver("$SYS/broker/uptime") || grants.Deliver("$sys/broker/uptime") {
		t.Error("Deliver must reach $SYS/… alone")
	}
	if got := grants.Publish("$other/x", 0, false); !got.Allowed {
		t.Errorf("Publish($other/x) = %+v", got)
	}
}

func TestA5_NobodyPublishesToReservedTopics(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"pub:$SYS/#", "pub:$sys/x", "pub:$SYSTEM/x", "pub:$share/g/t", "pub:$SHARE/#", "sub:$share/g/a", "pub:$share"} {
		if _, err := topicacl.ParseScope(scope); !errors.Is(err, topicacl.ErrMalformedScope) {
			t.Errorf("ParseScope(%q): %v, want it refused", scope, err)
		}
	}
	grants := compile(t, "pub:#", "pub:+/#", "pub:$other/#")
	for _, topic := range []string{"$SYS", "$SYS/x", "$sys/x", "$SYSx", "$share", "$share/g/t", "$SHARE/g/t", "$\u017fhare/g/t"} {
		if got := grants.Publish(topic, 0, false); got != (topicacl.Verdict{Reason: topicacl.ReasonReserved}) {
			t.Errorf("Publish(%q) = %+v, want a reserved topic", topic, got)
		}
	}
}

func TestA6_NoPlaceholderValueWidensAGrant(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		"plus": "+", "hash": "#", "slash": "a/b", "empty": "", "NUL": "a\x00b", "control": "a\x1fb", "delete": "a\x7f",
		"C1 control": "a\u0085b", "newline": "a\n", "not UTF-8": "a\xffb", "truncated UTF-8": "a\xc3", "surrogate": "\xed\xa0\x80",
		"overlong": strings.Repeat("a", 257), "overlong slash": "\xc0\xaf", "plus within": "a+b", "everything": "/#",
	}
	for what, value := range refused {
		for _, template := range []string{"pub:p/{v}/#", "sub:p/{v}", "sub:p-{v}/x", "pub:p/{v|d}/x", "named:{v}"} {
			got, err := topicacl.Expand(template, values(map[string]string{"v": value}))
			if !errors.Is(err, topicacl.ErrValue) || got != "" {
				t.Errorf("%s in %q: %q, %v; want it refused", what, template, got, err)
			}
			if err != nil && strings.Contains(value, "b") && strings.Contains(err.Error(), value) {
				t.Errorf("%s: the error repeats the value", what)
			}
		}
	}
}

func TestA6_AnOddValueIsOneLiteralLevel(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"{sub}", "{v}", "{client_id|x}", ".*", "%2F", "%23", "%", "a?qos=2", "?", "a&retain=false", "..", `a\b`, `"`, "a b",
		"cafe\u0301", "caf\u00e9", "$", "$SYS", "$share", "a|b", "}", strings.Repeat("a", 256),
	} {
		scope, err := topicacl.Expand("pub:p/{v}/x?qos=1", values(map[string]string{"v": value, "sub": "leak", "client_id": "leak"}))
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		parsed, err := topicacl.ParseScope(scope)
		if want := (topicacl.Scope{Action: topicacl.ActionPublish, Filter: "p/" + value + "/x", MaxQoS: 1, Retain: true}); err != nil || parsed != want {
			t.Errorf("%q: %q means %+v (%v), want %+v", value, scope, parsed, err, want)
		}
	}
}

func TestA6_AValueNeitherOpensTheDollarTopicsNorChangesTheKindOfScope(t *testing.T) {
	t.Parallel()
	for template, value := range map[string]string{
		"sub:{v}/#": "$SYS", "pub:{v}/x": "$SYS", "sub:{v}": "$share", "sub:{v|a}/x": "$other", "p{v}": "ub:secret", "{v}:a": "pub",
	} {
		if got, err := topicacl.Expand(template, values(map[string]string{"v": value})); !errors.Is(err, topicacl.ErrValue) {
			t.Errorf("Expand(%q) with %q = %q, %v; want it refused", template, value, got, err)
		}
	}
}

func TestA9_QoSAndRetainAreJudgedByTheGrantThatMatches(t *testing.T) {
	t.Parallel()
	grants := compile(t, "pub:a/#?qos=1&retain=false", "pub:a/b?qos=0", "pub:c?retain=false", "pub:a/free")
	cases := []struct {
		topic  string
		qos    byte
		retain bool
		want   topicacl.Reason
	}{
		{"a/x", 0, false, topicacl.ReasonGranted},
		{"a/x", 1, false, topicacl.ReasonGranted},
		{"a/x", 2, false, topicacl.ReasonQoS},
		{"a/x", 1, true, topicacl.ReasonRetain},
		{"a/b", 0, true, topicacl.ReasonGranted},
		{"a/b", 1, false, topicacl.ReasonGranted},
		{"a/b", 1, true, topicacl.ReasonRetain}, // one grant allows the QoS, the other retaining; neither allows both
		{"a/free", 2, true, topicacl.ReasonGranted},
		{"a/free", 3, false, topicacl.ReasonQoS},
		{"c", 2, false, topicacl.ReasonGranted},
		{"c", 0, true, topicacl.ReasonRetain},
		{"d", 0, false, topicacl.ReasonNoGrant},
	}
	for _, c := range cases {
		got := grants.Publish(c.topic, c.qos, c.retain)
		if got.Reason != c.want || got.Allowed != (c.want == topicacl.ReasonGranted) {
			t.Errorf("Publish(%q, %d, %v) = %+v, want %q", c.topic, c.qos, c.retain, got, c.want)
		}
	}
}

func TestA9_ASubscriptionGetsTheHighestQoSOfTheGrantsThatContainIt(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:#?qos=0", "sub:a/#?qos=1", "sub:a/b/c")
	for filter, want := range map[string]topicacl.Verdict{
		"#":     {Allowed: true, MaxQoS: 0, Grant: "sub:#?qos=0", Reason: topicacl.ReasonGranted},
		"a/+":   {Allowed: true, MaxQoS: 1, Grant: "sub:a/#?qos=1", Reason: topicacl.ReasonGranted},
		"a/b/c": {Allowed: true, MaxQoS: 2, Grant: "sub:a/b/c", Reason: topicacl.ReasonGranted},
	} {
		if got := grants.Subscribe(filter); got != want {
			t.Errorf("Subscribe(%q) = %+v, want %+v", filter, got, want)
		}
	}
}

func TestA10_EachFilterOfManyGetsItsOwnVerdict(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:a/+", "sub:b/#?qos=1")
	filters := []string{"a/x", "a/#", "b", "$share/g/b/+", "a#", "c", "a/x"}
	want := []topicacl.Reason{
		topicacl.ReasonGranted, topicacl.ReasonNoGrant, topicacl.ReasonGranted, topicacl.ReasonGranted, topicacl.ReasonFilter,
		topicacl.ReasonNoGrant, topicacl.ReasonGranted,
	}
	for range 2 { // subscribing again changes nothing
		var got []topicacl.Reason
		for _, filter := range filters {
			got = append(got, grants.Subscribe(filter).Reason)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("verdicts %q, want %q", got, want)
		}
	}
}

func TestA11_MalformedFiltersAndTopicsAreRefusedAsSuch(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:#", "pub:#", "sub:a/#")
	for _, filter := range []string{"", "a#", "a+b", "#/a", "a/#/b", "+a", "a+", "a/b+/c", "##", "a/##", "++", "a\x00", "a\xff", "a\x1b/b", "a\u0080"} {
		if got := grants.Subscribe(filter); got != (topicacl.Verdict{Reason: topicacl.ReasonFilter}) {
			t.Errorf("Subscribe(%q) = %+v, want a malformed filter", filter, got)
		}
		if _, err := topicacl.ParseScope("sub:" + filter); !errors.Is(err, topicacl.ErrMalformedScope) {
			t.Errorf("ParseScope(sub:%q): %v", filter, err)
		}
	}
	for _, topic := range []string{"", "a/+", "#", "+", "a#", "a+b", "a\x00b", "a\xff", "a\r\nb", "a\u009f", "\xc0\xaf"} {
		if got := grants.Publish(topic, 0, false); got != (topicacl.Verdict{Reason: topicacl.ReasonTopic}) {
			t.Errorf("Publish(%q) = %+v, want a malformed topic", topic, got)
		}
		if grants.Deliver(topic) {
			t.Errorf("Deliver(%q) is allowed", topic)
		}
	}
}

func TestA11_TopicsAndFiltersHaveTheirBounds(t *testing.T) {
	t.Parallel()
	grants := compile(t, "sub:#", "pub:#")
	deepest := strings.Repeat("/", topicacl.MaxLevels-1)
	longest := strings.Repeat("a", topicacl.MaxTopicLength)
	for path, want := range map[string]topicacl.Reason{
		deepest:                       topicacl.ReasonGranted,
		deepest + "/":                 topicacl.ReasonTooDeep,
		longest:                       topicacl.ReasonGranted,
		longest + "a":                 topicacl.ReasonTooLong,
		strings.Repeat("a/", 65000):   topicacl.ReasonTooLong,
		strings.Repeat("/", 65000):    topicacl.ReasonTooLong,
		strings.Repeat("a/", 500):     topicacl.ReasonTooDeep,
		strings.Repeat("a/", 127):     topicacl.ReasonGranted,
		strings.Repeat("a/", 128):     topicacl.ReasonTooDeep,
		strings.Repeat("\u00e9", 512): topicacl.ReasonGranted,
	} {
		if got := grants.Publish(path, 0, false).Reason; got != want {
			t.Errorf("Publish of %d bytes: %q, want %q", len(path), got, want)
		}
		if got := grants.Subscribe(path).Reason; got != want {
			t.Errorf("Subscribe of %d bytes: %q, want %q", len(path), got, want)
		}
		if got := grants.Deliver(path); got != (want == topicacl.ReasonGranted) {
			t.Errorf("Deliver of %d bytes: %v, want %q", len(path), got, want)
		}
	}
	if got := grants.Subscribe("$share/g/" + strings.Repeat("a", 1020)).Reason; got != topicacl.ReasonTooLong {
		t.Errorf("a shared filter too long in all: %q", got)
	}
}

func TestA11_ASetBeyondTheBoundGrantsNothing(t *testing.T) {
	t.Parallel()
	scopes := make([]string, topicacl.MaxScopes, topicacl.MaxScopes+1)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("pub:d/%d", i)
	}
	if grants := compile(t, scopes...); grants.Len() != topicacl.MaxScopes || !grants.Publish("d/2047", 0, false).Allowed {
		t.Fatalf("%d grants, want all %d", grants.Len(), topicacl.MaxScopes)
	}
	grants, ignored := topicacl.Compile(append(scopes, "pub:a"))
	if len(ignored) != 1 || !errors.Is(ignored[0].Err, topicacl.ErrTooManyScopes) || grants.Len() != 0 {
		t.Fatalf("%d grants, ignored %v; want none and one error", grants.Len(), ignored)
	}
	if grants.Publish("d/1", 0, false).Allowed || grants.Publish("a", 0, false).Allowed {
		t.Error("a set beyond the bound grants something")
	}
}

func TestA11_OverlappingGrantsDoNotMultiplyTheWork(t *testing.T) {
	t.Parallel()
	// A walk that tries both "a" and "+" at each of the 12 levels takes 2^12 steps here; a walk per grant 2,048 times 12.
	words, levels := topicacl.MaxScopes/64, 12
	grants := compile(t, overlappingScopes("pub")...)
	if got, most := grants.WorstSteps(), 2*words*(levels+1); got > most {
		t.Errorf("a question may touch %d words, more than %d", got, most)
	}

	grants = compile(t, deepestScopes("sub")...)
	if got, most := grants.WorstSteps(), 2*words*(topicacl.MaxLevels+1); got > most {
		t.Errorf("a question may touch %d words, more than %d", got, most)
	}
	if grants.Deliver(strings.Repeat("a/", topicacl.MaxLevels-1) + "elsewhere") {
		t.Error("delivered without a grant")
	}
}

func TestA14_NothingIsGuessedFromAStringThatIsNoTopicScope(t *testing.T) {
	t.Parallel()
	odd := []string{
		"", "pub", "pub:", "sub:", "publish:a", "subscribe:a", "PUB:a", "Pub:a", "pub :a", " pub:a", "pub: a", "pub:a ", "pub;a", "pubsub:a",
		"pub:a sub:b", "read:a", "telemetry:write", "a/#", "#", "pub:a?", "pub:a?qos", "pub:a?qos=", "pub:a?qos=3", "pub:a?qos=01",
		"pub:a?qos=1&", "pub:a?&qos=1", "pub:a?qos=1&qos=1", "pub:a?QOS=1", "pub:a?retain=true", "pub:a?retain=0", "pub:a?retain=false&retain=false",
		"pub:a?qos=1?retain=false", "pub:a?qos=1;retain=false", "sub:a?retain=false", "pub:a?x=1", "pub:%", "pub:%2", "pub:a%2fb", "pub:%2B", "pub:%23",
		"pub:a%41", "pub:a%00", "pub:a%0A", "pub:a%7F", "pub:a%zz", "pub:%FF", "pub:%C2%85", "pub:caf\u00e9", "pub:a\tb", `pub:a\b`, `pub:"a"`,
		"pub:a\x00", "pub:" + strings.Repeat("a", 1025), "pub:" + strings.Repeat("%20", 1025), "pub:" + strings.Repeat("a/", 200) + "b",
	}
	grants, ignored := topicacl.Compile(odd)
	if grants.Len() != 0 || len(ignored) != len(odd) {
		t.Errorf("%q are granted; %d of %d strings are reported", grants.Scopes(), len(ignored), len(odd))
	}
	for i, o := range ignored {
		if o.Scope != odd[i] || !errors.Is(o.Err, topicacl.ErrNotTopicScope) && !errors.Is(o.Err, topicacl.ErrMalformedScope) {
			t.Errorf("%q is reported as %q: %v", odd[i], o.Scope, o.Err)
		}
	}
	for _, topic := range []string{"a", "b", "a b", "#"} {
		if grants.Publish(topic, 0, false).Allowed || grants.Subscribe(topic).Allowed || grants.Deliver(topic) {
			t.Errorf("%q is allowed", topic)
		}
	}
}

func TestA14_AnOddScopeDoesNotSpoilTheGoodOnesBesideIt(t *testing.T) {
	t.Parallel()
	grants, ignored := topicacl.Compile([]string{"pub:a", "pub:a#", "pub:a?qos=2", "telemetry:write", "pub:a", "sub:a"})
	if got, want := grants.Scopes(), []string{"pub:a", "sub:a"}; !slices.Equal(got, want) || grants.Len() != 2 {
		t.Errorf("granted %q, want %q", got, want)
	}
	if len(ignored) != 2 {
		t.Errorf("reported %v, want pub:a# and telemetry:write", ignored)
	}
}
