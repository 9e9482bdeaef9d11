package topicacl_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// The oracle: a filter is the set of the topic names that a regular expression picks out of all short names over a small
// alphabet. Filters have at most three levels of this alphabet or wildcards; names have up to four levels, and one text ("z")
// that no filter holds, so that a name tells any two filters apart that differ.
var (
	filterTexts = []string{"a", "b", "", "$s", "+", "+"}
	nameTexts   = []string{"a", "b", "", "$s", "z"}
)

const (
	maxFilterLevels = 3
	maxNameLevels   = maxFilterLevels + 1
)

// universe returns all topic names of the oracle.
func universe() []string {
	var names []string
	last := []string{""}
	for depth := range maxNameLevels {
		var next []string
		for _, prefix := range last {
			for _, text := range nameTexts {
				if depth == 0 {
					next = append(next, text)
				} else {
					next = append(next, prefix+"/"+text)
				}
			}
		}
		names, last = append(names, next...), next
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// namesOf returns the names that a filter matches (MQTT 5.0 §4.7).
func namesOf(filter string, names []string) map[string]bool {
	expression := strings.ReplaceAll(regexp.QuoteMeta(filter), `\+`, `[^/]*`)
	switch {
	case filter == "#":
		expression = `.*`
	case strings.HasSuffix(filter, "/#"):
		expression = strings.TrimSuffix(expression, "/#") + `(/.*)?`
	}
	pattern := regexp.MustCompile(`^` + expression + `$`)
	wild := strings.ContainsAny(filter[:1], "+#")
	matched := map[string]bool{}
	for _, name := range names {
		if pattern.MatchString(name) && (!wild || name[0] != '$') {
			matched[name] = true
		}
	}
	return matched
}

func isSubset(inner, outer map[string]bool) bool {
	for name := range inner {
		if !outer[name] {
			return false
		}
	}
	return true
}

func drawFilter(t *rapid.T, label string) string {
	texts := rapid.SliceOfN(rapid.SampledFrom(filterTexts), 0, maxFilterLevels).Draw(t, label)
	if len(texts) < maxFilterLevels && rapid.Bool().Draw(t, label+" hash") {
		texts = append(texts, "#")
	}
	if filter := strings.Join(texts, "/"); filter != "" {
		return filter
	}
	return "a"
}

// drawFilterNear draws any filter, or one that differs from a grant's in one level at most, or goes one
// level deeper: most verdicts hang on such.
func drawFilterNear(t *rapid.T, grants []limitedFilter) string {
	if len(grants) == 0 || rapid.Bool().Draw(t, "any filter") {
		return drawFilter(t, "filter")
	}
	grant := rapid.SampledFrom(grants).Draw(t, "near")
	if grant.isFiller() {
		return drawFilter(t, "filter")
	}
	near := grant.filter
	texts := strings.Split(near, "/")
	last := len(texts) - 1
	changed := rapid.IntRange(0, last).Draw(t, "level")
	others := slices.Clone(filterTexts)
	if changed == last {
		others = append(others, "#", "#", texts[last]+"/#", texts[last]+"/+")
	}
	if text := rapid.SampledFrom(others).Draw(t, "text"); !strings.HasPrefix(text, "#/") {
		texts[changed] = text
	}
	if filter := strings.Join(texts, "/"); filter != "" {
		return filter
	}
	return near
}

// drawNameNear draws any topic name, or one that a grant matches but for at most one level.
func drawNameNear(t *rapid.T, grants []limitedFilter, names []string) string {
	if len(grants) == 0 || rapid.Bool().Draw(t, "any name") {
		return rapid.SampledFrom(names).Draw(t, "name")
	}
	texts := strings.Split(rapid.SampledFrom(grants).Draw(t, "near").filter, "/")
	changed := rapid.IntRange(0, 2*len(texts)).Draw(t, "level")
	for i := range texts {
		if i == changed || texts[i] == "+" || texts[i] == "#" {
			texts[i] = rapid.SampledFrom(nameTexts).Draw(t, "text")
		}
	}
	if name := strings.Join(texts, "/"); name != "" {
		return name
	}
	return "a"
}

type limitedFilter struct {
	filter string
	qos    byte
	retain bool
}

// isFiller reports whether this is a grant that matches nothing asked for.
func (l limitedFilter) isFiller() bool { return strings.HasPrefix(l.filter, "filler/") }

func (l limitedFilter) scope(action string) string {
	s := action + ":" + l.filter + "?qos=" + string('0'+rune(l.qos))
	if !l.retain && action == "pub" {
		s += "&retain=false"
	}
	return s
}

func drawGrants(t *rapid.T) []limitedFilter {
	// Many grants are filled up with ones that match nothing asked for, so that both ways to match are taken.
	grants := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) limitedFilter {
		return limitedFilter{drawFilter(t, "grant"), rapid.ByteMax(2).Draw(t, "limit"), rapid.Bool().Draw(t, "may retain")}
	}), 0, 6).Draw(t, "grants")
	filler := rapid.SampledFrom([]int{0, 0, 70, 400}).Draw(t, "filler")
	at := rapid.IntRange(0, filler).Draw(t, "filler before")
	fill := func(from, to int) []limitedFilter {
		var f []limitedFilter
		for i := from; i < to; i++ {
			f = append(f, limitedFilter{"filler/" + strings.Repeat("x", i+1), 2, true})
		}
		return f
	}
	return append(append(fill(0, at), grants...), fill(at, filler)...)
}

func scopesOf(action string, grants []limitedFilter) []string {
	scopes := make([]string, len(grants))
	for i, g := range grants {
		scopes[i] = g.scope(action)
	}
	return scopes
}

func TestASubscriptionIsAllowedExactlyIfItIsASubsetOfOneGrant(t *testing.T) {
	t.Parallel()
	names := universe()
	rapid.Check(t, func(t *rapid.T) {
		grants := drawGrants(t)
		filter := drawFilterNear(t, grants)
		compiled := compile(t, scopesOf("sub", grants)...)

		want, qos := false, byte(0)
		asked := namesOf(filter, names)
		for _, g := range grants {
			if g.isFiller() {
				continue
			}
			if isSubset(asked, namesOf(g.filter, names)) {
				want, qos = true, max(qos, g.qos)
			}
		}
		for _, spelled := range []string{filter, "$share/g/" + filter} {
			if got := compiled.Subscribe(spelled); got.Allowed != want || got.MaxQoS != qos {
				t.Fatalf("Subscribe(%q) with %v = %+v, want %v at QoS %d", spelled, grants, got, want, qos)
			}
		}
	})
}

func TestAMessageIsAllowedExactlyIfOneGrantMatchesIt(t *testing.T) {
	t.Parallel()
	names := universe()
	rapid.Check(t, func(t *rapid.T) {
		grants := drawGrants(t)
		name := drawNameNear(t, grants, names)
		qos, retain := rapid.ByteMax(2).Draw(t, "qos"), rapid.Bool().Draw(t, "retain")

		published, delivered := false, false
		for _, g := range grants {
			if namesOf(g.filter, []string{name})[name] {
				delivered = true
				published = published || (qos <= g.qos && (g.retain || !retain))
			}
		}
		if got := compile(t, scopesOf("pub", grants)...).Publish(name, qos, retain); got.Allowed != published {
			t.Fatalf("Publish(%q, %d, %v) with %v = %+v, want %v", name, qos, retain, grants, got, published)
		} else if !delivered != (got.Reason == topicacl.ReasonNoGrant) {
			t.Fatalf("Publish(%q, %d, %v) with %v: reason %q, but a grant matches: %v", name, qos, retain, grants, got.Reason, delivered)
		}
		if got := compile(t, scopesOf("sub", grants)...).Deliver(name); got != delivered {
			t.Fatalf("Deliver(%q) with %v = %v, want %v", name, grants, got, delivered)
		}
	})
}

func TestCoversAgreesWithTheSubsetOfNamesAndLimits(t *testing.T) {
	t.Parallel()
	names := universe()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) limitedFilter {
			return limitedFilter{drawFilter(t, label), rapid.ByteMax(2).Draw(t, label+" qos"), rapid.Bool().Draw(t, label+" retain")}
		}
		granted, requested := draw("granted"), draw("requested")
		subset := isSubset(namesOf(requested.filter, names), namesOf(granted.filter, names))
		want := subset && requested.qos <= granted.qos && (granted.retain || !requested.retain)
		if got := topicacl.Covers(granted.scope("pub"), requested.scope("pub")); got != want {
			t.Fatalf("Covers(%q, %q) = %v, want %v", granted.scope("pub"), requested.scope("pub"), got, want)
		}
		if topicacl.Covers(granted.scope("pub"), requested.scope("sub")) {
			t.Fatalf("%q covers the other action", granted.scope("pub"))
		}
	})
}
