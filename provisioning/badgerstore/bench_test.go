package badgerstore_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning/storetest"
)

// BenchmarkStore measures the store, and in the same run what Badger alone takes
// to write as many bytes as often: "bare" is the floor of create/one-by-one and
// update, "bare-1000" that of create/sets-of-1000.
func BenchmarkStore(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprintf("bare-%d", size), func(b *testing.B) { benchmarkBare(b, size) })
	}
	storetest.Benchmark(b, openNew)
}

// benchmarkBare commits records of a device's size, with the six index entries
// that one has, in one transaction for every set.
func benchmarkBare(b *testing.B, size int) {
	b.Helper()
	db, err := badger.Open(badger.DefaultOptions(b.TempDir()).WithLogger(nil).WithSyncWrites(true))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	value, err := json.Marshal(storetest.Device(0))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := db.Update(func(txn *badger.Txn) error {
			for j := range size {
				id := fmt.Sprintf("device-%07d", i*size+j)
				if err := txn.Set([]byte("c"+id), value); err != nil {
					return err
				}
				for index := range 5 {
					if err := txn.Set(fmt.Appendf(nil, "i%d some indexed value %s", index, id), nil); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/client")
}
