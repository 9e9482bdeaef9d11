package topicacl_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func TestATemplateIsFilledWithItsValues(t *testing.T) {
	t.Parallel()
	given := values(map[string]string{"client_id": "dev-1", "labels.site": "a b", "labels.x-y_z": "?", "kind": "device"})
	for template, want := range map[string]string{
		"pub:parking/v1/{labels.site}/{client_id}/#":           "pub:parking/v1/a%20b/dev-1/#",
		"sub:parking/v1/{labels.site|+}/+/state":               "sub:parking/v1/a%20b/+/state",
		"sub:parking/v1/{labels.none|+}/+/state":               "sub:parking/v1/+/+/state",
		"sub:{labels.none|a/b}/{labels.none|#}":                "sub:a/b/#",
		"pub:{kind}-{client_id}-{client_id}?qos=1":             "pub:device-dev-1-dev-1?qos=1",
		"pub:{labels.x-y_z}?qos=2":                             "pub:%3F",
		"pub:a?retain=false&qos=0":                             "pub:a?qos=0&retain=false",
		"sub:{none|$SYS}/#":                                    "sub:$SYS/#",
		"sub:$SYS/{client_id}":                                 "sub:$SYS/dev-1",
		"devices:read":                                         "devices:read",
		"project:{client_id}:{labels.site}":                    "project:dev-1:a%20b",
		"https://calendar.example/read?x=1":                    "https://calendar.example/read?x=1",
		"pub:{none|" + strings.Repeat("x", 300) + "}?qos=1":    "pub:" + strings.Repeat("x", 300) + "?qos=1",
		"pub:parking/v1/{labels.none|caf%c3%a9}/{client_id}/#": "pub:parking/v1/caf%C3%A9/dev-1/#",
	} {
		if err := topicacl.CheckTemplate(template); err != nil {
			t.Errorf("CheckTemplate(%q): %v", template, err)
		}
		if got, err := topicacl.Expand(template, given); err != nil || got != want {
			t.Errorf("Expand(%q) = %q, %v; want %q", template, got, err, want)
		}
	}
}

func TestATemplateIsParsedOnceAndFilledOften(t *testing.T) {
	t.Parallel()
	template, err := topicacl.ParseTemplate("sub:parking/v1/{labels.site|+}/{client_id}/cmd/+?qos=1")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			id := fmt.Sprint("dev-", i)
			for site, want := range map[string]string{"lot 1": "lot%201", "#": "", "": "+"} {
				given := map[string]string{"client_id": id}
				if site != "" {
					given["labels.site"] = site
				}
				if want != "" {
					want = "sub:parking/v1/" + want + "/" + id + "/cmd/+?qos=1"
				}
				if got, err := template.Expand(values(given)); got != want || (err == nil) != (want != "") {
					t.Errorf("Expand for site %q = %q, %v; want %q", site, got, err, want)
				}
			}
		})
	}
	group.Wait()
	if got, err := (topicacl.Template{}).Expand(values(nil)); err == nil {
		t.Errorf("the zero Template stands for %q", got)
	}
}

func TestAMalformedTemplateIsRefusedAndNeverExpanded(t *testing.T) {
	t.Parallel()
	for _, template := range []string{
		"", "pub:", "pub:a#", "pub:a?qos=3", "pub:{", "pub:}", "pub:{x", "pub:x}", "pub:{}", "pub:{|a}", "pub:{x|}", "pub:{x|a|b}", "pub:{x{y}}",
		"pub:{{x}}", "pub:{x y}", "pub:{x/y}", "pub:{x+}", "pub:{caf\u00e9}", "pub:{" + strings.Repeat("x", 129) + "}", "pub:a{x|+}", "pub:{x|+}b",
		"pub:{x|+}{y|+}", "pub:{x|#}/b", "pub:{x|a?qos=0}", "pub:{x|a#}", "pub:a?qos={x}", "pub:a?{x}", "pub:a?qos=1&{x|retain=false}", "pub:{x}#",
		"pub:{x}+", "pub:{x|$SYS}/a", "sub:{x|$share}/g/a", "sub:$share/g/{x}", "pub:$SYS/{x}", "{x|pub:a}", "{x|pub}:a", "{x|sub:}", "a b", "caf\u00e9",
		`a"b`, "a\x00", "pub:a b", "pub:" + strings.Repeat("/", 128) + "{x}", "pub:" + strings.Repeat("a", 5000), strings.Repeat("a", 5000),
	} {
		if err := topicacl.CheckTemplate(template); !errors.Is(err, topicacl.ErrTemplate) {
			t.Errorf("CheckTemplate(%q): %v, want it refused", template, err)
		}
		got, err := topicacl.Expand(template, func(string) (string, bool) { return "v", true })
		if !errors.Is(err, topicacl.ErrTemplate) || got != "" {
			t.Errorf("Expand(%q) = %q, %v; want it refused", template, got, err)
		}
	}
}

func TestAMissingValueWithoutADefaultGrantsNothing(t *testing.T) {
	t.Parallel()
	got, err := topicacl.Expand("pub:{labels.site}/x", values(nil))
	if !errors.Is(err, topicacl.ErrNoValue) || got != "" {
		t.Errorf("Expand = %q, %v; want a missing value", got, err)
	}
	if err == nil || !strings.Contains(err.Error(), "{labels.site}") {
		t.Errorf("%v does not name the placeholder", err)
	}
}

func TestADefaultNeverReplacesABadValue(t *testing.T) {
	t.Parallel()
	got, err := topicacl.Expand("sub:{labels.site|+}/x", values(map[string]string{"labels.site": ""}))
	if !errors.Is(err, topicacl.ErrValue) || got != "" {
		t.Errorf("Expand = %q, %v; want the empty value refused", got, err)
	}
}

func TestAnExpansionTooLongForATopicIsRefused(t *testing.T) {
	t.Parallel()
	long := values(map[string]string{"v": strings.Repeat("a", 256)})
	if got, err := topicacl.Expand("pub:"+strings.Repeat("{v}/", 5)+"x", long); !errors.Is(err, topicacl.ErrMalformedScope) {
		t.Errorf("Expand = %d bytes, %v; want it refused", len(got), err)
	}
	spaces := values(map[string]string{"v": strings.Repeat(" ", 256)})
	if got, err := topicacl.Expand(strings.Repeat("{v}", 5), spaces); !errors.Is(err, topicacl.ErrValue) {
		t.Errorf("Expand = %d bytes, %v; want it refused", len(got), err)
	}
}

// TestAnExpansionGrantsExactlyTheValueAsOneLevel holds Expand against plain string replacement on the decoded filter.
func TestAnExpansionGrantsExactlyTheValueAsOneLevel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-c+#/{}%?$ ]{0,4}`)).Draw(t, "value")
		template := rapid.SampledFrom([]string{"p/{v}/x", "{v}/x", "p/{v}", "p/a{v}b/+", "p/{v}/#", "p/{v|d}"}).Draw(t, "template")
		got, err := topicacl.Expand("sub:"+template, values(map[string]string{"v": value}))
		if err != nil {
			return // what must be refused is a table of A6
		}
		scope, err := topicacl.ParseScope(got)
		if err != nil {
			t.Fatalf("Expand(%q) with %q = %q: %v", template, value, got, err)
		}
		if want := strings.NewReplacer("{v}", value, "{v|d}", value).Replace(template); scope.Filter != want {
			t.Fatalf("Expand(%q) with %q grants %q, want %q", template, value, scope.Filter, want)
		}
		if strings.ContainsAny(value, "+#/\x00") || value == "" {
			t.Fatalf("Expand(%q) took %q", template, value)
		}
	})
}
