package topicacl_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func TestAScopeIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	pub, sub := topicacl.ActionPublish, topicacl.ActionSubscribe
	cases := []struct {
		text      string
		want      topicacl.Scope
		canonical string
	}{
		{"pub:a", topicacl.Scope{pub, "a", 2, true}, "pub:a"},
		{"sub:a/+/#", topicacl.Scope{sub, "a/+/#", 2, true}, "sub:a/+/#"},
		{"pub:a?qos=2", topicacl.Scope{pub, "a", 2, true}, "pub:a"},
		{"pub:a?qos=0", topicacl.Scope{pub, "a", 0, true}, "pub:a?qos=0"},
		{"sub:a?qos=1", topicacl.Scope{sub, "a", 1, true}, "sub:a?qos=1"},
		{"pub:a?retain=false", topicacl.Scope{pub, "a", 2, false}, "pub:a?retain=false"},
		{"pub:a?retain=false&qos=1", topicacl.Scope{pub, "a", 1, false}, "pub:a?qos=1&retain=false"},
		{"pub:a%20b%3F%25%22%5C", topicacl.Scope{pub, `a b?%"\`, 2, true}, "pub:a%20b%3F%25%22%5C"},
		{"pub:caf%c3%a9", topicacl.Scope{pub, "caf\u00e9", 2, true}, "pub:caf%C3%A9"},
		{"sub:$SYS/#", topicacl.Scope{sub, "$SYS/#", 2, true}, "sub:$SYS/#"},
		{"pub:/", topicacl.Scope{pub, "/", 2, true}, "pub:/"},
		{"pub:a:b=c&d", topicacl.Scope{pub, "a:b=c&d", 2, true}, "pub:a:b=c&d"},
		{"pub:{x}", topicacl.Scope{pub, "{x}", 2, true}, "pub:{x}"},
	}
	for _, c := range cases {
		got, err := topicacl.ParseScope(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseScope(%q) = %+v, %v; want %+v", c.text, got, err, c.want)
		}
		if got.String() != c.canonical {
			t.Errorf("ParseScope(%q) is written %q, want %q", c.text, got, c.canonical)
		}
	}
}

func TestOnlyTheExactPrefixMakesATopicScope(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"pub:": true, "sub:a": true, "pub:a#": true, "PUB:a": false, "publish:a": false, "pub": false, "": false, "xpub:a": false, "read:a": false,
	} {
		if got := topicacl.IsTopicScope(text); got != want {
			t.Errorf("IsTopicScope(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestActionsAreWrittenAsScopesSpellThem(t *testing.T) {
	t.Parallel()
	for action, want := range map[topicacl.Action]string{0: "none", topicacl.ActionPublish: "pub", topicacl.ActionSubscribe: "sub"} {
		if got := action.String(); got != want {
			t.Errorf("Action(%d) is written %q, want %q", action, got, want)
		}
	}
}

func TestNoGrantsGrantNothing(t *testing.T) {
	t.Parallel()
	empty, ignored := topicacl.Compile(nil)
	if len(ignored) != 0 {
		t.Errorf("reported %v", ignored)
	}
	for name, grants := range map[string]*topicacl.Grants{"nil": nil, "zero": {}, "empty": empty} {
		refused := topicacl.Verdict{Reason: topicacl.ReasonNoGrant}
		if got := grants.Publish("a", 0, false); got != refused {
			t.Errorf("%s: Publish = %+v", name, got)
		}
		if got := grants.Subscribe("a"); got != refused {
			t.Errorf("%s: Subscribe = %+v", name, got)
		}
		if grants.Deliver("a") || grants.Len() != 0 || len(grants.Scopes()) != 0 {
			t.Errorf("%s grants something", name)
		}
	}
}

func TestAGrantForOneActionIsNoneForTheOther(t *testing.T) {
	t.Parallel()
	publisher, subscriber := compile(t, "pub:a/#"), compile(t, "sub:a/#")
	if publisher.Subscribe("a/b").Allowed || publisher.Deliver("a/b") {
		t.Error("a publisher may read")
	}
	if subscriber.Publish("a/b", 0, false).Allowed {
		t.Error("a subscriber may publish")
	}
}

func TestChangingTheScopesReturnedChangesNoGrant(t *testing.T) {
	t.Parallel()
	grants := compile(t, "pub:a", "sub:b")
	grants.Scopes()[0] = "pub:#"
	if got, want := grants.Scopes(), []string{"pub:a", "sub:b"}; !slices.Equal(got, want) {
		t.Errorf("the grants are %q, want %q", got, want)
	}
}

func TestAScopeCoversItselfAndWhatIsNarrower(t *testing.T) {
	t.Parallel()
	cases := []struct {
		granted, requested string
		want               bool
	}{
		{"pub:a/#", "pub:a/b", true},
		{"pub:a/#", "pub:a/b?qos=0&retain=false", true},
		{"pub:a/#?qos=1", "pub:a/b", false},
		{"pub:a/#?qos=1", "pub:a/b?qos=1", true},
		{"pub:a?retain=false", "pub:a", false},
		{"pub:a?retain=false", "pub:a?retain=false&qos=1", true},
		{"sub:a/+", "sub:a/#", false},
		{"sub:+/#", "sub:#", true},
		{"pub:a", "sub:a", false},
		{"pub:a", "PUB:a", false},
		{"pub:a#", "pub:a#", false},
		{"pub:a", "publish:a", false},
		{"read:a", "pub:a", false},
		{"devices:read", "devices:read", true},
		{"devices:read", "devices:write", false},
		{"devices:#", "devices:read", false},
		{"", "", false},
	}
	for _, c := range cases {
		if got := topicacl.Covers(c.granted, c.requested); got != c.want {
			t.Errorf("Covers(%q, %q) = %v, want %v", c.granted, c.requested, got, c.want)
		}
	}
}

func TestErrorsOfScopesNeverRepeatTheScope(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"pub:canary#", "pub:a?canary=1", "canary:a", "pub:canary%2F"} {
		if _, err := topicacl.ParseScope(text); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("ParseScope(%q): %v, want an error without the scope", text, err)
		}
	}
}

//nolint:paralleltest // allocations are counted for the whole process
func TestVerdictsAllocateNothing(t *testing.T) {
	few, many, overlapping := compile(t, sensorScopes...), compile(t, distinctScopes()...), compile(t, overlappingScopes("sub")...)
	got := testing.AllocsPerRun(100, func() {
		for _, grants := range []*topicacl.Grants{few, many, overlapping, nil} {
			grants.Publish("parking/v1/site-a/dev-0001/state", 1, true)
			grants.Publish("parking/v1/site-a/\u00e9", 2, true)
			grants.Publish("$SYS/x", 2, true)
			grants.Subscribe("parking/v1/site-a/dev-0001/cmd/+")
			grants.Subscribe("$SHARE/g/parking/v1/site-a/+/state")
			grants.Subscribe("a/a/a/a/a/a/a/a/a/a/a/elsewhere")
			grants.Subscribe("a#")
			grants.Deliver("parking/v1/site-a/dev-0001/cmd/open")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
