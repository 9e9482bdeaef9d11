package topicacl_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// sensorScopes are the grants of one parking sensor and of one reader: eight.
var sensorScopes = []string{
	"pub:parking/v1/site-a/dev-0001/state", "pub:parking/v1/site-a/dev-0001/health", "pub:parking/v1/site-a/dev-0001/info",
	"pub:parking/v1/site-a/dev-0001/$state", "pub:parking/v1/site-a/dev-0001/ack/+",
	"sub:parking/v1/site-a/dev-0001/cmd/+", "sub:parking/v1/site-a/+/state", "sub:parking/v1/site-a/$summary",
}

// distinctScopes are 2,048 grants, half of them to publish, one device each.
func distinctScopes() []string {
	scopes := make([]string, 0, topicacl.MaxScopes)
	for i := range topicacl.MaxScopes / 2 {
		scopes = append(scopes,
			fmt.Sprintf("pub:parking/v1/site-a/dev-%04d/state", i), fmt.Sprintf("sub:parking/v1/site-a/dev-%04d/cmd/+", i))
	}
	return scopes
}

// overlappingScopes are 2,048 grants of one action whose levels are "+" or "a" in every combination: a walk that branches at
// every "+" follows all of them when a question is a/a/a/….
func overlappingScopes(action string) []string {
	const levels = 11
	scopes := make([]string, 0, topicacl.MaxScopes)
	for i := range topicacl.MaxScopes {
		texts := make([]string, levels, levels+1)
		for level := range texts {
			texts[level] = "+"
			if i>>level&1 == 1 {
				texts[level] = "a"
			}
		}
		scopes = append(scopes, action+":"+strings.Join(append(texts, "end"), "/"))
	}
	return scopes
}

// deepestScopes are overlapping scopes as deep as scopes go: levels are "+" or "a" by the bits of the scope's number, over and over.
func deepestScopes(action string) []string {
	scopes := make([]string, 0, topicacl.MaxScopes)
	for i := range topicacl.MaxScopes {
		var b strings.Builder
		for level := range topicacl.MaxLevels - 1 {
			b.WriteByte("+a"[i>>(level%11)&1])
			b.WriteByte('/')
		}
		scopes = append(scopes, action+":"+b.String()+"end")
	}
	return scopes
}

// BenchmarkVerdicts measures each question for few and for many grants. The metric x-sha256 is the time relative to "bare", one
// SHA-256 of 64 bytes, in the same run.
func BenchmarkVerdicts(b *testing.B) {
	var bare float64
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		var block [64]byte
		for b.Loop() {
			sum := sha256.Sum256(block[:])
			block[0] = sum[0]
		}
		bare = perOperation(b)
	})
	few := compile(b, sensorScopes...)
	many := compile(b, distinctScopes()...)
	overlappingPub := compile(b, overlappingScopes("pub")...)
	overlappingSub := compile(b, overlappingScopes("sub")...)
	deepest := compile(b, deepestScopes("sub")...)
	bottom := strings.Repeat("a/", topicacl.MaxLevels-1) + "elsewhere"
	nowhere := strings.Repeat("a/", 11) + "elsewhere"
	questions := []struct {
		name string
		ask  func() bool
		want bool
	}{
		{"grants=8/publish", func() bool { return few.Publish("parking/v1/site-a/dev-0001/state", 1, true).Allowed }, true},
		{"grants=8/publish-refused", func() bool { return few.Publish("parking/v1/site-a/dev-0002/state", 1, true).Allowed }, false},
		{"grants=8/subscribe", func() bool { return few.Subscribe("parking/v1/site-a/dev-0001/cmd/+").Allowed }, true},
		{"grants=8/subscribe-shared", func() bool { return few.Subscribe("$share/g/parking/v1/site-a/+/state").Allowed }, true},
		{"grants=8/deliver", func() bool { return few.Deliver("parking/v1/site-a/dev-0001/cmd/open") }, true},
		{"grants=2048/publish", func() bool { return many.Publish("parking/v1/site-a/dev-0777/state", 1, true).Allowed }, true},
		{"grants=2048/publish-refused", func() bool { return many.Publish("parking/v1/site-a/dev-9999/state", 1, true).Allowed }, false},
		{"grants=2048/subscribe", func() bool { return many.Subscribe("parking/v1/site-a/dev-0777/cmd/+").Allowed }, true},
		{"grants=2048/deliver", func() bool { return many.Deliver("parking/v1/site-a/dev-0777/cmd/open") }, true},
		{"overlapping=2048/publish-refused", func() bool { return overlappingPub.Publish(nowhere, 1, false).Allowed }, false},
		{"overlapping=2048/subscribe-refused", func() bool { return overlappingSub.Subscribe(nowhere).Allowed }, false},
		{"overlapping=2048/deliver-refused", func() bool { return overlappingSub.Deliver(nowhere) }, false},
		{"deepest=2048/deliver-refused", func() bool { return deepest.Deliver(bottom) }, false},
	}
	for _, q := range questions {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if q.ask() != q.want {
					b.Fatal("wrong verdict")
				}
			}
			b.ReportMetric(perOperation(b)/bare, "x-sha256")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, scopes := range map[string][]string{"grants=8": sensorScopes, "grants=2048": distinctScopes()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				topicacl.Compile(scopes)
			}
		})
	}
}

func BenchmarkExpand(b *testing.B) {
	values := func(name string) (string, bool) {
		return map[string]string{"client_id": "dev-0001", "labels.site": "site-a"}[name], true
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topicacl.Expand("pub:parking/v1/{labels.site}/{client_id}/state?qos=1", values); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCovers(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !topicacl.Covers("pub:parking/v1/+/+/#", "pub:parking/v1/site-a/dev-0001/state?qos=1") {
			b.Fatal("wrong verdict")
		}
	}
}

func perOperation(b *testing.B) float64 {
	b.Helper()
	return float64(b.Elapsed().Nanoseconds()) / float64(b.N)
}
