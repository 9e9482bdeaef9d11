package topicacl_test

import (
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func FuzzParseScope(f *testing.F) {
	for _, seed := range []string{
		"pub:a/b", "sub:a/+/#", "pub:a?qos=1&retain=false", "pub:a%20b%C3%A9", "pub:#", "sub:+/#", "sub:$SYS/#", "pub:$SYS/#", "sub:$share/g/a",
		"pub:a#", "pub:a%2fb", "pub:%", "pub:a?qos=3", "PUB:a", "publish:a", "", "pub:", "pub:/", "pub:a\x00", "pub:\xff", "sub:a?retain=false",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := topicacl.ParseScope(text)
		grants, ignored := topicacl.Compile([]string{text})
		if (err == nil) != (grants.Len() == 1) || (err == nil) != (len(ignored) == 0) {
			t.Fatalf("ParseScope: %v; Compile: %d grants, ignored %v", err, grants.Len(), ignored)
		}
		if err != nil {
			return
		}
		canonical := scope.String()
		if again, err := topicacl.ParseScope(canonical); err != nil || again != scope {
			t.Fatalf("%q is written %q, which is read as %+v, %v", text, canonical, again, err)
		}
		if strings.ContainsFunc(canonical, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Fatalf("%q holds what no OAuth scope may hold", canonical)
		}
		if !topicacl.Covers(text, canonical) || !topicacl.Covers(canonical, text) {
			t.Fatalf("%q and %q do not cover each other", text, canonical)
		}
		if scope.Action == topicacl.ActionSubscribe && !grants.Subscribe(scope.Filter).Allowed {
			t.Fatalf("%q does not grant its own filter", text)
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add("pub:parking/v1/{labels.site}/{client_id}/#", "site-a")
	f.Add("sub:{labels.site|+}/x", "+")
	f.Add("sub:{a}/#", "$SYS")
	f.Add("pub:a{x}b?qos=1", "{x}")
	f.Add("pub:{x|a/b}{y|c}", "%2F")
	f.Add("p{x}", "ub:#")
	f.Add("devices:read", "")
	f.Add("pub:a?qos={x}", "1")
	f.Add("{", "\xff")
	f.Fuzz(func(t *testing.T, template, value string) {
		checked := topicacl.CheckTemplate(template)
		got, err := topicacl.Expand(template, func(string) (string, bool) { return value, true })
		if checked != nil && err == nil {
			t.Fatalf("%q is refused by CheckTemplate (%v) and expanded to %q", template, checked, got)
		}
		if checked == nil && !strings.Contains(template, "{") && err != nil {
			t.Fatalf("%q has no placeholder and is not expanded: %v", template, err)
		}
		if err != nil {
			return
		}
		if topicacl.IsTopicScope(got) != topicacl.IsTopicScope(template) {
			t.Fatalf("%q became %q, another kind of scope", template, got)
		}
		if !topicacl.IsTopicScope(got) {
			return
		}
		scope, err := topicacl.ParseScope(got)
		if err != nil || scope.String() != got {
			t.Fatalf("%q became %q, which is not canonical: %+v, %v", template, got, scope, err)
		}
		if literal, _, _ := strings.Cut(template, "{"); strings.ContainsAny(value, "+#/") && literal != template {
			t.Fatalf("%q took the value %q", template, value)
		}
		wide := func(s string) int { return strings.Count(s, "+") + strings.Count(s, "#") + strings.Count(s, "/") }
		if wide(scope.Filter) > wide(template) {
			t.Fatalf("%q with %q became %q: more wildcards or levels than the template has", template, value, got)
		}
	})
}
