//go:build unix

package badgerstore

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the lock of a file, which ends with the file or the process. It
// returns ErrLocked if another one has it.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
