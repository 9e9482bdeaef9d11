package topicacl_test

import (
	"errors"
	"slices"
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

func FuzzParseAIF(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[["topic1",["pub","sub"]],["topic2/#",["pub"]],["+/topic3",["sub"]]]`, ` [ ["a",["sub"]] ] `, `[["a\u002f\ud83d\ude00",["pub"]]]`,
		`[["\ud83d",["sub"]]]`, `[["a",[]]]`, `[["a",["PUB"]]]`, `[["a"]]`, `[["a",["pub"],1]]`, `[null]`, `null`, `{}`, `[["a#",["sub"]]]`,
		`[["$share/g/a",["sub"]]]`, `[["$SYS/x",["pub"]]]`, `[["a\u0000",["sub"]]]`, "[[\"\xff\",[\"sub\"]]]", `[["a",["pub"]]] x`, `[[[[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		scopes, err := topicacl.ParseAIF(value)
		if err != nil {
			if scopes != nil || !errors.Is(err, topicacl.ErrMalformedAIF) {
				t.Fatalf("%q yields %q and %v", value, scopes, err)
			}
			return
		}
		grants, ignored := topicacl.Compile(scopes)
		if len(ignored) > 0 || !slices.Equal(grants.Scopes(), scopes) {
			t.Fatalf("%q yields %q, of which %q are granted and %v ignored", value, scopes, grants.Scopes(), ignored)
		}
		written, err := topicacl.FormatAIF(scopes)
		if err != nil && 6*len(value) > 64<<10 {
			return // a byte may be written with six
		}
		if err != nil {
			t.Fatalf("%q yields %q, which cannot be written: %v", value, scopes, err)
		}
		again, err := topicacl.ParseAIF(written)
		slices.Sort(scopes)
		slices.Sort(again)
		if err != nil || !slices.Equal(again, scopes) {
			t.Fatalf("%q yields %q; written as %s it yields %q, %v", value, scopes, written, again, err)
		}
	})
}

// FuzzVerdicts holds the verdicts on two scopes among few and among many grants against each other and against a plain walk.
func FuzzVerdicts(f *testing.F) {
	f.Add("pub:a/+", "sub:a/#?qos=1", "a/b", byte(1), true)
	f.Add("pub:+/#", "sub:#", "$SYS/x", byte(0), false)
	f.Add("pub:a/#?retain=false", "sub:+/b", "a", byte(0), true)
	f.Add("sub:$other/#", "pub:$other/x?qos=0", "$other/x", byte(2), false)
	f.Add("sub:a/+", "sub:/#", "$SHARE/g/a/+", byte(0), false)
	f.Add("pub:a//b", "sub:/+/#", "/#", byte(3), false)
	f.Add("pub:caf%C3%A9", "sub:+", "caf\u00e9", byte(0), false)
	f.Add("pub:a", "sub:a", "a\x00", byte(0), false)
	f.Fuzz(func(t *testing.T, one, other, path string, qos byte, retain bool) {
		few, ignored := topicacl.Compile([]string{one, other})
		if len(ignored) > 0 {
			return
		}
		many := amongMany(t, few.Scopes()...)
		published, delivered := few.Publish(path, qos, retain), few.Deliver(path)
		if got := many.Publish(path, qos, retain); got != published && !strings.Contains(path, "/other/") {
			t.Fatalf("Publish(%q) among few: %+v; among many: %+v", path, published, got)
		}
		if got := many.Deliver(path); got != delivered && !strings.Contains(path, "/other/") {
			t.Fatalf("Deliver(%q) among few: %v; among many: %v", path, delivered, got)
		}
		if few, many := few.Subscribe(path), many.Subscribe(path); few != many && !strings.Contains(path, "/other/") {
			t.Fatalf("Subscribe(%q) among few: %+v; among many: %+v", path, few, many)
		}
		publish, deliver := walkScopes(few.Scopes(), path, qos, retain)
		switch published.Reason {
		case topicacl.ReasonTopic, topicacl.ReasonTooLong, topicacl.ReasonTooDeep:
			publish, deliver = false, false
		case topicacl.ReasonReserved:
			publish = false
		default:
		}
		if published.Allowed != publish || delivered != deliver {
			t.Fatalf("%q on %q: published %+v, delivered %v; want %v, %v", few.Scopes(), path, published, delivered, publish, deliver)
		}
	})
}

// walkScopes says what scopes allow on a topic name, one by one and level by level.
func walkScopes(scopes []string, name string, qos byte, retain bool) (publish, deliver bool) {
	for _, text := range scopes {
		scope, err := topicacl.ParseScope(text)
		if err != nil || name == "" || name[0] == '$' && strings.ContainsAny(scope.Filter[:1], "+#") ||
			!walk(strings.Split(scope.Filter, "/"), strings.Split(name, "/")) {
			continue
		}
		if scope.Action == topicacl.ActionSubscribe {
			deliver = true
		} else if qos <= scope.MaxQoS && (scope.Retain || !retain) {
			publish = true
		}
	}
	return publish, deliver
}

func walk(filter, name []string) bool {
	switch {
	case len(filter) == 0:
		return len(name) == 0
	case filter[0] == "#":
		return true
	case len(name) == 0:
		return false
	default:
		return (filter[0] == "+" || filter[0] == name[0]) && walk(filter[1:], name[1:])
	}
}
