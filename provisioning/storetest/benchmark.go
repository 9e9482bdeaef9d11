package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// BenchmarkClients is how many clients the benchmarks read from.
const BenchmarkClients = 20_000

const benchmarkBatch = 1000

// Benchmark measures a store: creations one by one, from 64 goroutines and in
// sets of 100 and 1,000, and, over [BenchmarkClients] clients, single reads and
// pages of 100: first while no client has been seen, then (names ending in
// "-seen") when all have.
func Benchmark(b *testing.B, open Opener) {
	b.Helper()
	b.Run("create/one-by-one", func(b *testing.B) { benchmarkCreate(b, open(b)) })
	b.Run("create/64-goroutines", func(b *testing.B) { benchmarkParallel(b, open(b)) })
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprintf("create/sets-of-%d", size), func(b *testing.B) { benchmarkSets(b, open(b), size) })
	}
	b.Run("update/one-by-one", func(b *testing.B) { benchmarkUpdate(b, open(b)) })
	s := open(b)
	fill(b, s)
	benchmarkReads(b, s, "")
	b.Run("sightings/sets-of-1000", func(b *testing.B) { benchmarkSightings(b, s) })
	seeAll(b, s, 0)
	benchmarkReads(b, s, "-seen")
}

func benchmarkReads(b *testing.B, s provisioning.Store, suffix string) {
	b.Helper()
	b.Run("get/there"+suffix, func(b *testing.B) { benchmarkGet(b, s, "device-") })
	b.Run("get/not-there"+suffix, func(b *testing.B) { benchmarkGet(b, s, "nobody-") })
	for _, c := range []struct {
		name string
		q    provisioning.Query
	}{
		{"all", provisioning.Query{}},
		{"kind", provisioning.Query{Kind: provisioning.KindDevice}},
		{"label", provisioning.Query{Labels: map[string]string{"site": "garage-7"}}},
		{"rare-label-and-kind", provisioning.Query{Kind: provisioning.KindDevice, Labels: map[string]string{"spot": "777"}}},
		{"role-label-status-and-kind", provisioning.Query{
			Role: "sensor", Status: provisioning.StatusActive, Kind: provisioning.KindDevice,
			Labels: map[string]string{"site": "garage-7"},
		}},
	} {
		b.Run("list-100/"+c.name+suffix, func(b *testing.B) { benchmarkList(b, s, c.q) })
	}
}

// Device returns a client as a fleet has it: one role, two labels, one secret.
func Device(i int) *provisioning.Client {
	c := bareClient(fmt.Sprintf("device-%07d", i))
	c.Kind, c.Name, c.Roles = provisioning.KindDevice, fmt.Sprint("sensor ", i), []string{"sensor"}
	c.Labels = map[string]string{"site": fmt.Sprint("garage-", i%20), "spot": fmt.Sprint(i)}
	c.Secrets = []provisioning.Secret{{
		ID: "secret-0123456789ab", Hash: "$hmac-sha256$hmac-0123456789ab$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE", CreatedAt: epoch,
	}}
	return c
}

func devices(from, count int) provisioning.ChangeSet {
	clients := make([]*provisioning.Client, count)
	for i := range clients {
		clients[i] = Device(from + i)
	}
	return put(clients...)
}

func fill(b *testing.B, s provisioning.Store) {
	b.Helper()
	apply(b, s, putRole(newRole("sensor")))
	for from := 0; from < BenchmarkClients; from += benchmarkBatch {
		apply(b, s, devices(from, benchmarkBatch))
	}
}

func benchmarkCreate(b *testing.B, s provisioning.Store) {
	apply(b, s, putRole(newRole("sensor")))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		apply(b, s, put(Device(i)))
	}
}

func benchmarkParallel(b *testing.B, s provisioning.Store) {
	apply(b, s, putRole(newRole("sensor")))
	b.ReportAllocs()
	b.ResetTimer()
	var done atomic.Int64
	together(64, func(int) {
		for i := done.Add(1); i <= int64(b.N); i = done.Add(1) {
			if err := s.Apply(context.Background(), put(Device(int(i)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchmarkSets(b *testing.B, s provisioning.Store, size int) {
	apply(b, s, putRole(newRole("sensor")))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		apply(b, s, devices(i*size, size))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/client")
}

func benchmarkUpdate(b *testing.B, s provisioning.Store) {
	c := Device(0)
	c.Roles = nil
	apply(b, s, put(c))
	b.ReportAllocs()
	for b.Loop() {
		c = next(c, func(c *provisioning.Client) { c.Labels["site"] += "." })
		c.Labels["site"] = c.Labels["site"][:min(len(c.Labels["site"]), 20)]
		apply(b, s, put(c))
	}
}

// benchmarkSightings measures what a recorder writes, after the first time.
func benchmarkSightings(b *testing.B, s provisioning.Store) {
	seeAll(b, s, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		apply(b, s, sightings(i%(BenchmarkClients/benchmarkBatch)*benchmarkBatch, benchmarkBatch, i+1))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchmarkBatch), "ns/client")
}

// seeAll has every client seen at a minute.
func seeAll(b *testing.B, s provisioning.Store, minute int) {
	b.Helper()
	for from := 0; from < BenchmarkClients; from += benchmarkBatch {
		apply(b, s, sightings(from, benchmarkBatch, minute))
	}
}

func sightings(from, count, minute int) provisioning.ChangeSet {
	set := provisioning.ChangeSet{Seen: make([]provisioning.Sighting, count)}
	for i := range set.Seen {
		c := Device(from + i)
		at := minutes(minute)
		set.Seen[i] = provisioning.Sighting{ClientID: c.ID, SecretID: c.Secrets[0].ID, TokenAt: at, ConnectedAt: at, MessageAt: at}
	}
	return set
}

func benchmarkGet(b *testing.B, s provisioning.Store, prefix string) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err := s.Client(context.Background(), fmt.Sprintf("%s%07d", prefix, i*7919%BenchmarkClients))
		if (err == nil) != (prefix == "device-") {
			b.Fatal(err)
		}
	}
}

func benchmarkList(b *testing.B, s provisioning.Store, q provisioning.Query) {
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Clients(context.Background(), q)
		if err != nil || len(page.Clients) == 0 {
			b.Fatal(len(page.Clients), err)
		}
	}
}
