package topicacl_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func TestAnAIFValueMeansItsTopicScopes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		`[]`: {},
		`[["topic1",["pub","sub"]],["topic2/#",["pub"]],["+/topic3",["sub"]]]`: { // the example of RFC 9431 §2.3
			"pub:topic1", "sub:topic1", "pub:topic2/#", "sub:+/topic3",
		},
		" [ [ \"a\" ,\n[ \"sub\" ]\t] ] ":                                  {"sub:a"},
		`[["a b?%\"\\é",["pub"]]]`:                                         {"pub:a%20b%3F%25%22%5C%C3%A9"},
		`[["\u0061\u002f\ud83d\ude00",["sub"]],["a/\u002b",["s\u0075b"]]]`: {"sub:a/%F0%9F%98%80", "sub:a/+"},
		`[["/",["pub"]],["a//",["sub"]]]`:                                  {"pub:/", "sub:a//"},
		`[["$SYS/#",["sub"]]]`:                                             {"sub:$SYS/#"},
		`[["a",["pub","pub"]],["b",["sub"]],["a",["sub","pub"]]]`:          {"pub:a", "sub:b", "sub:a"},
		`[["a?qos=0&retain=false",["pub"]],["pub:a",["sub","pub"]]]`:       {"pub:a%3Fqos=0&retain=false", "sub:pub:a", "pub:pub:a"},
	} {
		got, err := topicacl.ParseAIF([]byte(value))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseAIF(%s) = %q, %v; want %q", value, got, err, want)
		}
	}
}

func TestA14_AnAIFValueWithAnyFaultGrantsNothing(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{
		// Another shape.
		`null`, `[]`, `{}`, `"a"`, `1`, `["a"]`, `["a","pub"]`, `["a",null]`, `["a",[]]`, `["a",{}]`, `["a",["pub"],1]`, `["a",["pub"],["sub"]]`,
		`[null,["pub"]]`, `[1,["pub"]]`, `[["a"],["pub"]]`, `[["pub"],"a"]`, `{"a":["pub"]}`, `[["a",["pub"]]]`, `["a",[["pub"]]]`, `["a",["pub",]]`,
		`["a",["pub"]`, `["a",["pub"]],`, `["a",["pub"]]]`, `["a",["pub"]]//`, `['a',['pub']]`,
		// Permissions that nobody defined.
		`["a",["PUB"]]`, `["a",["Sub"]]`, `["a",["publish"]]`, `["a",["pubsub"]]`, `["a",["pub "]]`, `["a",[""]]`, `["a",["pub","read"]]`, `["a",["pub",null]]`,
		`["a",["pub",1]]`, `["a",[2]]`, `["a",[true]]`, `["a",["pub",["sub"]]]`, `["a",["pub",{}]]`,
		// Filters that no scope may have.
		`["",["pub"]]`, `["a#",["sub"]]`, `["a+b",["sub"]]`, `["#/a",["sub"]]`, `["a/#/b",["sub"]]`, `["$share/g/a",["sub"]]`, `["$SHARE/g/a",["sub"]]`,
		`["$SYS/x",["pub"]]`, `["$sys/x",["sub","pub"]]`, `["a\u0000b",["sub"]]`, `["a\nb",["sub"]]`, `["a\u0085",["sub"]]`, `["\ufffd",["sub"]]`, "[\"\ufffd\",[\"sub\"]]",
		`["\ud83d",["sub"]]`, `["a\ude00\ud83d",["sub"]]`, "[\"a\xffb\",[\"sub\"]]", "[\"\xed\xa0\x80\",[\"sub\"]]",
		`["` + strings.Repeat("a", topicacl.MaxTopicLength+1) + `",["sub"]]`, `["` + strings.Repeat("/", topicacl.MaxLevels) + `",["sub"]]`,
	} {
		for _, value := range []string{"[" + entry + "]", `[["good",["pub"]],` + entry + "]", "[" + entry + `,["good",["pub"]]]`} {
			checkMalformedAIF(t, value)
		}
	}
	for _, value := range []string{"", " ", "null", "[null]", "{}", `""`, `"[]"`, "0", "true", "[", "]", "[]]", "[][]", "[] x", "[],", "\ufeff[]", "pub:a", "W10", `["a",["pub"]]`} {
		checkMalformedAIF(t, value)
	}
}

func checkMalformedAIF(t *testing.T, value string) {
	t.Helper()
	got, err := topicacl.ParseAIF([]byte(value))
	if !errors.Is(err, topicacl.ErrMalformedAIF) || got != nil {
		t.Errorf("ParseAIF(%q) = %q, %v; want it refused", value, got, err)
	}
}

func TestA11_AnAIFValueHasItsBounds(t *testing.T) {
	t.Parallel()
	value := func(filters int, permissions string) []byte {
		entries := make([]string, filters)
		for i := range entries {
			entries[i] = fmt.Sprintf(`["%d",[%s]]`, i, permissions)
		}
		return []byte("[" + strings.Join(entries, ",") + "]")
	}
	for _, v := range [][]byte{value(topicacl.MaxScopes, `"pub"`), value(topicacl.MaxScopes/2, `"pub","sub","pub"`)} {
		if got, err := topicacl.ParseAIF(v); err != nil || len(got) != topicacl.MaxScopes {
			t.Errorf("%d scopes, %v; want %d", len(got), err, topicacl.MaxScopes)
		}
	}
	for _, v := range [][]byte{value(topicacl.MaxScopes+1, `"pub"`), value(topicacl.MaxScopes/2+1, `"pub","sub"`)} {
		if got, err := topicacl.ParseAIF(v); !errors.Is(err, topicacl.ErrMalformedAIF) || !errors.Is(err, topicacl.ErrTooManyScopes) || got != nil {
			t.Errorf("%d scopes, %v; want too many", len(got), err)
		}
	}
	longest := "[]" + strings.Repeat(" ", 64<<10-2)
	if _, err := topicacl.ParseAIF([]byte(longest)); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	checkMalformedAIF(t, longest+" ")
	checkMalformedAIF(t, strings.Repeat("[", 60000))
	checkMalformedAIF(t, strings.Repeat("[", 20000)+strings.Repeat("]", 20000))
}

func TestScopesAreWrittenAsAIF(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scopes []string
		want   string
	}{
		{nil, `[]`},
		{[]string{"pub:a/#"}, `[["a/#",["pub"]]]`},
		{[]string{"pub:a/#", "sub:b", "sub:a/#", "pub:a/#"}, `[["a/#",["pub","sub"]],["b",["sub"]]]`},
		{[]string{"sub:a?qos=2", "pub:a%20%22%5C"}, `[["a",["sub"]],["a \"\\",["pub"]]]`},
	} {
		if got, err := topicacl.FormatAIF(c.scopes); err != nil || string(got) != c.want {
			t.Errorf("FormatAIF(%q) = %s, %v; want %s", c.scopes, got, err, c.want)
		}
	}
}

func TestWhatAIFCannotSayIsNotWritten(t *testing.T) {
	t.Parallel()
	many := make([]string, topicacl.MaxScopes+1)
	long := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf("pub:%d", i)
	}
	for i := range long {
		long[i] = fmt.Sprintf("pub:%03d%s", i, strings.Repeat("a", topicacl.MaxTopicLength-3))
	}
	for name, c := range map[string]struct {
		scopes []string
		want   error
	}{
		"QoS limit":             {[]string{"pub:a", "sub:a?qos=1"}, topicacl.ErrAIFLimits},
		"retain limit":          {[]string{"pub:a?retain=false"}, topicacl.ErrAIFLimits},
		"named scope":           {[]string{"pub:a", "telemetry:write"}, topicacl.ErrNotTopicScope},
		"malformed scope":       {[]string{"pub:a", "pub:a#"}, topicacl.ErrMalformedScope},
		"replacement character": {[]string{"pub:%EF%BF%BD"}, topicacl.ErrMalformedAIF},
		"too many":              {many, topicacl.ErrTooManyScopes},
		"too long":              {long, topicacl.ErrMalformedAIF},
	} {
		if got, err := topicacl.FormatAIF(c.scopes); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %s, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestScopesSurviveTheWayThroughAIF(t *testing.T) {
	t.Parallel()
	filter := rapid.OneOf(
		rapid.StringMatching(`[ab$<&>"\\% ]{1,3}(/[abé\x{2028}\x{1F600}]{0,2}){0,2}(/\+)?(/#)?`),
		rapid.SampledFrom([]string{"#", "+", "+/#", "/", "a/+/b", "$SYSTEM", "$share/g/a", "\ufffd"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		var scopes []string
		for _, f := range rapid.SliceOfN(filter, 0, 8).Draw(t, "filters") {
			action := rapid.SampledFrom([]topicacl.Action{topicacl.ActionPublish, topicacl.ActionSubscribe}).Draw(t, "action")
			scope := topicacl.Scope{Action: action, Filter: f, MaxQoS: 2, Retain: true}.String()
			if _, err := topicacl.ParseScope(scope); err == nil && f != "\ufffd" {
				scopes = append(scopes, scope)
			}
		}
		value, err := topicacl.FormatAIF(scopes)
		if err != nil {
			t.Fatalf("FormatAIF(%q): %v", scopes, err)
		}
		got, err := topicacl.ParseAIF(value)
		slices.Sort(got)
		slices.Sort(scopes)
		if want := slices.Compact(scopes); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s means %q, %v; want %q", value, got, err, want)
		}
	})
}

func TestErrorsOfAIFNeverRepeatTheValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`[["canary#",["pub"]]]`, `[["a",["canary"]]]`, `["canary"]`, `canary`, `[canary]`, `[[123456,["pub"]]]`} {
		_, err := topicacl.ParseAIF([]byte(value))
		if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "123456") {
			t.Errorf("ParseAIF(%s): %v, want an error without the value", value, err)
		}
	}
}
