package fleetapi_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestAWriteUnderAnOldVersionIsRefusedAndToldTheNewOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{"id": "d"})
	f.do(http.MethodPatch, "/v1/devices/d", `{"name":"two"}`, "If-Match", `"1"`).is(http.StatusOK)
	writes := []struct{ method, suffix, body string }{
		{http.MethodPatch, "", `{"name":"x"}`},
		{http.MethodPost, "/disable", ""},
		{http.MethodPost, "/enable", ""},
		{http.MethodPost, "/rotate", ""},
		{http.MethodDelete, "", ""},
	}
	for _, w := range writes {
		for _, tag := range []string{`"1"`, `"3"`, `"0"`, `"02"`, `W/"2"`, `"abc"`, `""`, `"18446744073709551616"`} {
			a := f.do(w.method, "/v1/devices/d"+w.suffix, orNil(w.body), "If-Match", tag)
			p := a.isProblem(http.StatusPreconditionFailed, "version-mismatch")
			if a.header.Get("ETag") != `"2"` || !strings.Contains(p.Detail, `If-Match: "2"`) {
				t.Errorf("%s %s: ETag %q, detail %q: want the version there is", w.method, tag, a.header.Get("ETag"), p.Detail)
			}
		}
		for _, malformed := range []string{`2`, `"1", "2"`, `"`, `W/2`, `"1" x`} {
			f.do(w.method, "/v1/devices/d"+w.suffix, orNil(w.body), "If-Match", malformed).isProblem(http.StatusBadRequest, "bad-request")
		}
		f.do(w.method, "/v1/devices/nobody"+w.suffix, orNil(w.body), "If-Match", `"1"`).isProblem(http.StatusNotFound, "not-found")
	}
	f.do(http.MethodPost, "/v1/devices/d/disable", nil, "If-Match", ` "2" `).is(http.StatusOK)
	f.do(http.MethodPost, "/v1/devices/d/enable", nil, "If-Match", "*").is(http.StatusOK)
	f.do(http.MethodDelete, "/v1/devices/d", nil, "If-Match", `"4"`).is(http.StatusOK)
}

func TestOfManyWritersWithOneVersionOneWins(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{"id": "d"})
	var wg sync.WaitGroup
	statuses := make([]int, 16)
	for i := range statuses {
		wg.Go(func() {
			a, err := f.try(http.MethodPatch, "/v1/devices/d", object{"labels": object{"writer": string(rune('a' + i))}}, "If-Match", `"1"`)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = a.status
		})
	}
	wg.Wait()
	won := 0
	for _, status := range statuses {
		switch status {
		case http.StatusOK:
			won++
		case http.StatusPreconditionFailed:
		default:
			t.Errorf("status %d", status)
		}
	}
	if record := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/devices/d", nil)); won != 1 || record.Version != 2 {
		t.Errorf("%d writers won, the record has version %d", won, record.Version)
	}
}
