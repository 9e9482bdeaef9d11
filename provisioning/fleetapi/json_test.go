package fleetapi_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// The test cases of RFC 7396, appendix A.
func TestMergingFollowsTheAppendixOfRFC7396(t *testing.T) {
	t.Parallel()
	cases := [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	}
	for _, c := range cases {
		var parts [3]any
		for i, text := range c {
			must(t, json.Unmarshal([]byte(text), &parts[i]))
		}
		if got := fleetapi.Merge(parts[0], parts[1]); !reflect.DeepEqual(got, parts[2]) {
			t.Errorf("%s patched by %s is %v, want %s", c[0], c[1], got, c[2])
		}
	}
}

// FuzzBodiesWithHiddenMembersAreRefused holds the strict reading against plain
// encoding/json: what is accepted is what that reads, and every member of the
// text is still there, which would not be so if one had overwritten another.
func FuzzBodiesWithHiddenMembersAreRefused(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"a":2}`, `{"labels":{"A":"1","a":"2"}}`, `{"a":{"labels":{"B":1}}}`, `{"a":"\u0061","\u0061":1}`,
		`[{"a":1},{"a":2}]`, `{"labels":{"x":{"Y":1}}}`, `{"Labels":{}}`, `"\ud800"`, "{\"\xff\":1}", `{"labelſ":1}`, `[[[[[[[[[1]]]]]]]]]`, ` 1 2`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var strict, plain any
		if err := fleetapi.Unmarshal(body, &strict); err != nil {
			return
		}
		if err := json.Unmarshal(body, &plain); err != nil || !reflect.DeepEqual(strict, plain) {
			t.Fatalf("%q reads as %v, plainly as %v, %v", body, strict, plain, err)
		}
		colons, inText := 0, false
		for i := 0; i < len(body); i++ {
			switch {
			case inText && body[i] == '\\':
				i++
			case body[i] == '"':
				inText = !inText
			case body[i] == ':' && !inText:
				colons++
			}
		}
		if members := countMembers(strict); members != colons {
			t.Fatalf("%q has %d members, of which %d were read", body, colons, members)
		}
	})
}

func countMembers(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		for _, value := range v {
			n += 1 + countMembers(value)
		}
	case []any:
		for _, value := range v {
			n += countMembers(value)
		}
	}
	return n
}
