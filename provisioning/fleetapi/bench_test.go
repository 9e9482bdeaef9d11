package fleetapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// request serves one request without a network.
func (f *fixture) request(b *testing.B, method, path, body string, status int) {
	b.Helper()
	request := httptest.NewRequestWithContext(b.Context(), method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+f.root)
	recorder := httptest.NewRecorder()
	f.handler.ServeHTTP(recorder, request)
	if recorder.Code != status {
		b.Fatalf("%s %s: status %d: %s", method, path, recorder.Code, recorder.Body)
	}
}

func BenchmarkCreatingADevice(b *testing.B) {
	f := newFixture(b)
	b.Run("api", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.request(b, http.MethodPost, "/v1/devices", `{"labels":{"site":"north"},"roles":["parking-sensor"]}`, http.StatusCreated)
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, err := f.service.Create(b.Context(), provisioning.NewClient{
				Kind: provisioning.KindDevice, Labels: map[string]string{"site": "north"}, Roles: []string{"parking-sensor"},
			})
			must(b, err)
		}
	})
}

func BenchmarkShowingADevice(b *testing.B) {
	f := newFixture(b)
	f.create("devices", object{"id": "d", "labels": object{"site": "north"}})
	b.Run("api", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.request(b, http.MethodGet, "/v1/devices/d", "", http.StatusOK)
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := f.registry.Client(b.Context(), "d")
			must(b, err)
		}
	})
}

func BenchmarkListingAHundredDevices(b *testing.B) {
	f := newFixture(b)
	for i := range 150 {
		f.create("devices", object{"id": fmt.Sprintf("d-%03d", i), "labels": object{"site": "north"}})
	}
	b.Run("api", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.request(b, http.MethodGet, "/v1/devices", "", http.StatusOK)
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := f.registry.Clients(b.Context(), provisioning.Query{Kind: provisioning.KindDevice})
			must(b, err)
		}
	})
}
