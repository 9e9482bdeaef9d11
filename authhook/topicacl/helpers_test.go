package topicacl_test

import (
	"fmt"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// failer is what helpers need of a *testing.T, *testing.B or *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// compile compiles scopes that are all good.
func compile(t failer, scopes ...string) *topicacl.Grants {
	t.Helper()
	grants, ignored := topicacl.Compile(scopes)
	if len(ignored) > 0 {
		t.Fatalf("Compile ignored %q: %v", ignored[0].Scope, ignored[0].Err)
	}
	return grants
}

// amongMany compiles the scopes in the middle of 400 others of each action, so many that they are matched in another way than few.
// The first 100 others begin with a/other and the rest with c/other: texts that are rare, frequent and everywhere are all there.
func amongMany(t failer, scopes ...string) *topicacl.Grants {
	t.Helper()
	var all []string
	for i := range 400 {
		if i == 200 {
			all = append(all, scopes...)
		}
		first := "c"
		if i < 100 {
			first = "a"
		}
		all = append(all, fmt.Sprintf("sub:%s/other/%d/x/y/#", first, i), fmt.Sprintf("pub:%s/other/%d/x/y/#", first, i))
	}
	return compile(t, all...)
}

// values returns the function that Expand asks, over a fixed map.
func values(of map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := of[name]
		return value, ok
	}
}
