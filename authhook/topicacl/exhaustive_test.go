package topicacl_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// allFilters returns every filter of the oracle.
func allFilters() []string {
	return slices.DeleteFunc(filtersBelow("", maxFilterLevels), func(filter string) bool { return filter == "" })
}

func filtersBelow(prefix string, levels int) []string {
	if levels == 0 {
		return nil
	}
	filters := []string{prefix + "#"}
	for _, text := range []string{"a", "b", "", "$s", "+"} {
		filters = append(filters, prefix+text)
		filters = append(filters, filtersBelow(prefix+text+"/", levels-1)...)
	}
	return filters
}

// TestA1_EveryPairOfSmallFiltersIsJudgedAsTheirNamesSay holds each way to ask whether one filter contains another against the
// names that both match, for all filters of the oracle, alone and among so many others that they are matched in another way.
func TestA1_EveryPairOfSmallFiltersIsJudgedAsTheirNamesSay(t *testing.T) {
	t.Parallel()
	filters, names := allFilters(), universe()
	matched := make([]map[string]bool, len(filters))
	for i, filter := range filters {
		matched[i] = namesOf(filter, names)
	}
	for i, outer := range filters {
		grant := "sub:" + outer
		few, many := compile(t, grant), amongMany(t, grant)
		for j, inner := range filters {
			want := isSubset(matched[j], matched[i])
			if got := topicacl.Covers(grant, "sub:"+inner); got != want {
				t.Errorf("Covers(%q, %q) = %v, want %v", grant, "sub:"+inner, got, want)
			}
			for _, grants := range []*topicacl.Grants{few, many} {
				if got := grants.Subscribe(inner); got.Allowed != want {
					t.Errorf("%q of %d: Subscribe(%q) = %+v, want %v", grant, grants.Len(), inner, got, want)
				}
				if got := grants.Holds("sub:" + inner); got != want {
					t.Errorf("%q of %d: Holds(%q) = %v, want %v", grant, grants.Len(), "sub:"+inner, got, want)
				}
			}
		}
	}
}

func TestA2_EveryShortNameIsMatchedAsItsFilterSays(t *testing.T) {
	t.Parallel()
	names := universe()
	for _, filter := range allFilters() {
		matched := namesOf(filter, names)
		for _, grants := range []*topicacl.Grants{
			compile(t, "pub:"+filter, "sub:"+filter), amongMany(t, "pub:"+filter, "sub:"+filter),
		} {
			for _, name := range names {
				if got := grants.Publish(name, 2, true); got.Allowed != matched[name] {
					t.Errorf("%q of %d: Publish(%q) = %+v, want %v", filter, grants.Len(), name, got, matched[name])
				}
				if got := grants.Deliver(name); got != matched[name] {
					t.Errorf("%q of %d: Deliver(%q) = %v, want %v", filter, grants.Len(), name, got, matched[name])
				}
			}
		}
	}
}

func TestA2_TwoGrantsAllowTheNamesThatEitherAllows(t *testing.T) {
	t.Parallel()
	filters := slices.DeleteFunc(allFilters(), func(filter string) bool { return strings.Count(filter, "/") > 1 })
	names := slices.DeleteFunc(universe(), func(name string) bool { return strings.Count(name, "/") > 2 })
	names = append(names, "b/other/7/x/y") // matched by none of the many, but for its first level
	for i, one := range filters {
		for _, other := range filters[:i] {
			ofOne, ofOther := namesOf(one, names), namesOf(other, names)
			for _, grants := range []*topicacl.Grants{compile(t, "sub:"+one, "sub:"+other), amongMany(t, "sub:"+one, "sub:"+other)} {
				for _, name := range names {
					if got, want := grants.Deliver(name), ofOne[name] || ofOther[name]; got != want {
						t.Errorf("%q and %q of %d: Deliver(%q) = %v, want %v", one, other, grants.Len(), name, got, want)
					}
				}
			}
		}
	}
}

func TestA4_EveryLetterCaseOfShareIsJudgedAsTheFilterWithin(t *testing.T) {
	t.Parallel()
	filters := allFilters()
	for _, grants := range []*topicacl.Grants{compile(t, "sub:a/+"), compile(t, "sub:+/#"), compile(t, "sub:$s/#", "sub:b"), amongMany(t, "sub:a/#")} {
		for letters := range 1 << len("share") {
			share := []byte("$share")
			for i := range "share" {
				if letters>>i&1 == 1 {
					share[1+i] -= 'a' - 'A'
				}
			}
			for _, filter := range filters {
				shared := string(share) + "/g/" + filter
				if got, want := grants.Subscribe(shared), grants.Subscribe(filter); got != want {
					t.Errorf("Subscribe(%q) = %+v, but without the share %+v", shared, got, want)
				}
			}
		}
	}
}

func TestA5_NoGrantThatBeginsWithAWildcardReachesADollarName(t *testing.T) {
	t.Parallel()
	names := universe()
	for _, filter := range allFilters() {
		if !strings.HasPrefix(filter, "+") && filter != "#" {
			continue
		}
		for _, grants := range []*topicacl.Grants{
			compile(t, "pub:"+filter, "sub:"+filter), amongMany(t, "pub:"+filter, "sub:"+filter, "pub:other", "sub:$other"),
		} {
			for _, name := range names {
				if name[0] != '$' {
					continue
				}
				if grants.Publish(name, 0, false).Allowed || grants.Deliver(name) || grants.Subscribe(name).Allowed || grants.Holds("sub:"+name) {
					t.Errorf("%q of %d reaches %q", filter, grants.Len(), name)
				}
			}
		}
	}
}
