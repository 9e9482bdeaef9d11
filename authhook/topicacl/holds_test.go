package topicacl_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func TestAScopeIsHeldWithinOneGrantAndItsLimits(t *testing.T) {
	t.Parallel()
	scopes := []string{"pub:a/#?qos=1", "pub:a/+?retain=false", "sub:a/+", "sub:b/#?qos=1", "sub:b/c"}
	for scope, want := range map[string]bool{
		"pub:a/#?qos=1":              true,
		"pub:a/b?qos=0":              true,
		"pub:a/b?qos=1&retain=false": true,
		"pub:a/b?retain=false":       true,
		"pub:a/b":                    false, // one grant allows the QoS, the other retaining; neither allows both
		"pub:a/b/c?retain=false":     false,
		"pub:a/#":                    false,
		"pub:#?qos=0&retain=false":   false,
		"sub:a/+":                    true,
		"sub:a/b?qos=1":              true,
		"sub:a/#":                    false,
		"sub:a":                      false,
		"sub:b/c":                    true,
		"sub:b/d":                    false,
		"sub:b/d?qos=1":              true,
		"sub:b/+":                    false,
		"sub:c":                      false,
		"pub:b/c":                    false,
	} {
		for _, grants := range []*topicacl.Grants{compile(t, scopes...), amongMany(t, scopes...)} {
			if got := grants.Holds(scope); got != want {
				t.Errorf("%d grants: Holds(%q) = %v, want %v", grants.Len(), scope, got, want)
			}
		}
	}
}

func TestA14_NothingButATopicScopeIsHeld(t *testing.T) {
	t.Parallel()
	everything := compile(t, "pub:#", "sub:#")
	for _, scope := range []string{
		"", "pub", "pub:", "sub:", "PUB:a", "publish:a", "telemetry:write", "pub:a#", "sub:a/#/b", "pub:a?qos=3", "sub:a?retain=false", "sub:$share/g/a",
		"pub:$SYS/x", "sub:$SYS/#", "pub:a\x00", "pub:a b",
	} {
		if everything.Holds(scope) {
			t.Errorf("Holds(%q) is true", scope)
		}
	}
	for name, grants := range map[string]*topicacl.Grants{"nil": nil, "zero": {}} {
		if grants.Holds("pub:a") || grants.Holds("sub:a") {
			t.Errorf("%s grants hold something", name)
		}
	}
}

func TestAScopeIsHeldExactlyIfItsNamesAndLimitsAreThoseOfOneGrant(t *testing.T) {
	t.Parallel()
	names := universe()
	rapid.Check(t, func(t *rapid.T) {
		grants := drawGrants(t)
		scope := limitedFilter{drawFilterNear(t, grants), rapid.ByteMax(2).Draw(t, "qos"), rapid.Bool().Draw(t, "retain")}
		asked := namesOf(scope.filter, names)
		want := false
		for _, g := range grants {
			if !g.isFiller() && scope.qos <= g.qos && (g.retain || !scope.retain) && isSubset(asked, namesOf(g.filter, names)) {
				want = true
			}
		}
		compiled := compile(t, scopesOf("pub", grants)...)
		if got := compiled.Holds(scope.scope("pub")); got != want {
			t.Fatalf("Holds(%q) with %v = %v, want %v", scope.scope("pub"), grants, got, want)
		}
		if compiled.Holds(scope.scope("sub")) {
			t.Fatalf("grants to publish hold %q", scope.scope("sub"))
		}
	})
}
