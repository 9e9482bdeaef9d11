package badgerstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// formatFile says in clear text what the folder holds. It is read before
	// anything else is touched, and held locked while the store is open.
	formatFile = "FORMAT"
	formatText = "boomgate registry format "
	// Format is the version of the store's format that this program writes. It
	// reads older ones too, and raises them: a program that knows only format 1
	// would lose certificates and limits, and ask no revocations.
	Format = 2
)

// readFormat returns the format of a store, 0 for a file that is still empty.
func readFormat(f io.Reader) (int, error) {
	const limit = 256
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", formatFile, err)
	}
	if len(data) == 0 {
		return 0, nil
	}
	text, ok := strings.CutPrefix(string(data), formatText)
	if !ok {
		return 0, fmt.Errorf("%w: the file %s is not what this program writes; restore a backup", ErrDamaged, formatFile)
	}
	version, err := strconv.Atoi(strings.TrimSuffix(text, "\n"))
	if err != nil || version < 1 {
		return 0, fmt.Errorf("%w: the file %s names no version; restore a backup", ErrDamaged, formatFile)
	}
	return version, nil
}

// writeFormat makes the file say what the folder holds, durably. The texts of all
// formats so far have one length and differ in one byte, so none is ever seen in part.
func writeFormat(f *os.File) error {
	if _, err := f.WriteAt([]byte(formatText+strconv.Itoa(Format)+"\n"), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
