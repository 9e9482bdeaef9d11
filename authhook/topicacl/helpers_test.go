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

// amongMany compiles the scopes in the middle of 200 others of each action, so many that they are matched in another way than few.
func amongMany(t failer, scopes ...string) *topicacl.Grants {
	t.Helper()
	var all []string
	for i := range 200 {
		if i == 100 {
			all = append(all, scopes...)
		}
		all = append(all, fmt.Sprintf("sub:other/%d/x/y/#", i), fmt.Sprintf("pub:other/%d/x/y/#", i))
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
