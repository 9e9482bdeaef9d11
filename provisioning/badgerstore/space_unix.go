//go:build linux || darwin

package badgerstore

import (
	"math"
	"syscall"
)

// freeSpace returns the bytes that may still be written in the folder.
func freeSpace(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	if st.Bavail > math.MaxInt64/uint64(st.Bsize) {
		return math.MaxInt64, nil
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // Bsize has another type on darwin
}
