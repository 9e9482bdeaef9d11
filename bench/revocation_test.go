package bench_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// BenchmarkRevocation measures the time from the call of the fleet API until the device sees the end of its connection, among
// 10,000 connected ones (-sessions). Each revocation is on the disk before anything else happens. The baseline is the same call
// and the same durable write without a session to close: a device is renamed.
//
//	go test -run '^$' -bench Revocation -benchtime 300x ./bench
func BenchmarkRevocation(b *testing.B) {
	f := startFleet(b, *liveSessions)
	var baseline percentiles
	b.Run("baseline: rename a device", func(b *testing.B) {
		devices := f.connect(b, b.N)
		baseline = f.each(b, devices, func(d *device) {
			_, err := f.call(http.MethodPatch, "/v1/devices/"+d.ClientID, map[string]any{"name": "renamed"})
			harness.Must(b, err)
		}, nil)
		baseline.report(b, baseline)
	})
	for _, revocation := range []struct {
		name string
		call func(d *device) (method, path string, body any)
	}{
		{"disable a device", func(d *device) (string, string, any) {
			return http.MethodPost, "/v1/devices/" + d.ClientID + "/disable", nil
		}},
		{"delete a device", func(d *device) (string, string, any) { return http.MethodDelete, "/v1/devices/" + d.ClientID, nil }},
		{"retire a secret", func(d *device) (string, string, any) {
			return http.MethodDelete, "/v1/devices/" + d.ClientID + "/secrets/" + d.claim("credential_id"), nil
		}},
		{"revoke a token", func(d *device) (string, string, any) {
			return http.MethodPost, "/v1/revocations", map[string]any{"token_id": d.claim("jti")}
		}},
	} {
		b.Run(revocation.name, func(b *testing.B) {
			f.each(b, f.connect(b, b.N), func(d *device) {
				method, path, body := revocation.call(d)
				_, err := f.call(method, path, body)
				harness.Must(b, err)
			}, (*device).ended).report(b, baseline)
		})
	}
	b.Run("narrow the role of all", func(b *testing.B) { f.narrow(b, baseline) })
	b.Run("revoke the signing key of all", func(b *testing.B) { f.revokeKey(b, baseline) })
}

// each makes one call after the other, and measures each until what end says has happened: by default, until it is answered.
func (f *fleet) each(b *testing.B, devices []*device, call func(*device), end func(*device) <-chan time.Time) percentiles {
	b.Helper()
	times := make([]time.Duration, 0, len(devices))
	for _, d := range devices {
		var ended <-chan time.Time
		if end != nil {
			ended = end(d)
		}
		began := time.Now()
		call(d)
		finish := time.Now()
		if end != nil {
			at, ok := <-ended
			if !ok {
				b.Fatalf("the session of %s was not closed", d.ClientID)
			}
			finish = at
		}
		times = append(times, finish.Sub(began))
	}
	return measured(times)
}

// narrow takes a topic from the role that all devices have, and measures until the answer: then every session has been judged anew.
// Widening it again is not measured.
func (f *fleet) narrow(b *testing.B, baseline percentiles) {
	var times []time.Duration
	for range b.N {
		began := time.Now()
		answer, err := f.call(http.MethodPatch, "/v1/roles/"+role, map[string]any{"grants": roleGrants(false)})
		harness.Must(b, err)
		times = append(times, time.Since(began))
		if r := harness.ReadReceipt(b, answer); r.Rejudged < len(f.live) {
			b.Fatalf("%d sessions were judged anew, want %d at least", r.Rejudged, len(f.live))
		}
		_, err = f.call(http.MethodPatch, "/v1/roles/"+role, map[string]any{"grants": roleGrants(true)})
		harness.Must(b, err)
	}
	measured(times).report(b, baseline)
}

// revokeKey revokes the key that has signed every token, and measures when each device sees the end of its connection. It can be done
// once; whatever b.N is, that is what is reported.
func (f *fleet) revokeKey(b *testing.B, baseline percentiles) {
	if len(f.live) > 0 {
		f.closed = f.closeAll(b)
	}
	f.closed.report(b, baseline)
}

func (f *fleet) closeAll(b *testing.B) percentiles {
	b.Helper()
	ends := make([]<-chan time.Time, len(f.live))
	for i, d := range f.live {
		ends[i] = d.ended()
	}
	began := time.Now()
	_, err := f.send(http.MethodDelete, "/v1/signing-keys/"+f.live[0].header("kid"), "application/json", http.NoBody)
	harness.Must(b, err)
	var times []time.Duration
	for i, ended := range ends {
		at, ok := <-ended
		if !ok {
			b.Fatalf("the session of %s was not closed", f.live[i].ClientID)
		}
		times = append(times, at.Sub(began))
	}
	f.live = nil
	return measured(times)
}

func (d *device) claim(name string) string  { return d.member(1, name) }
func (d *device) header(name string) string { return d.member(0, name) }

// member is a text in one part of the device's token.
func (d *device) member(part int, name string) string {
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(d.token, ".")[part])
	if err != nil {
		return ""
	}
	var members map[string]any
	if json.Unmarshal(text, &members) != nil {
		return ""
	}
	value, _ := members[name].(string)
	return value
}
