package badgerstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folder is the data folder of a store, locked by its format file.
type folder struct {
	dir    string
	format *os.File
	// version is the format of the store, 0 for one that is being made.
	version int
	// empty is true for a folder in which no store has been made yet.
	empty bool
}

// openFolder checks and locks the data folder, and makes it if it is not there.
// If it refuses, it has created and changed nothing in the folder.
func openFolder(cfg Config) (*folder, error) {
	dir := cfg.Dir
	files, err := databaseFiles(dir)
	if err != nil {
		return nil, err
	}
	if err := requireSpace(cfg); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, formatFile)
	flags := os.O_RDWR
	if len(files) == 0 {
		flags |= os.O_CREATE
	}
	format, err := os.OpenFile(path, flags, 0o600)
	if len(files) > 0 && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s holds a database but no file %s: either another program's database, "+
			"then choose another folder, or the file is lost, then restore a backup", ErrFolder, dir, formatFile)
	}
	if err != nil {
		return nil, folderError(dir, "cannot be written", err)
	}
	f := &folder{dir: dir, format: format, empty: len(files) == 0}
	if err := f.admit(files); err != nil {
		return nil, errors.Join(err, format.Close())
	}
	return f, nil
}

// admit takes the lock and checks what the folder holds.
func (f *folder) admit(files []string) error {
	if err := lock(f.format); errors.Is(err, ErrLocked) {
		return lockedError(f.dir)
	} else if err != nil {
		return folderError(f.dir, "cannot be locked", err)
	}
	version, err := readFormat(f.format)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", f.dir, err)
	case version > Format:
		return fmt.Errorf("%w: %s has format %d and this program reads %d: use the newer program that has written it, "+
			"or another folder; nothing was changed", ErrNewerFormat, f.dir, version, Format)
	case version == 0 && !f.empty:
		return damaged(f.dir, formatFile+" is empty")
	case version == 0:
		return f.raise()
	}
	f.version = version
	return inspect(f.dir, files)
}

// raise makes the store one of this program's format. The database of an older
// one has been opened before, so that whatever refuses it changes nothing.
func (f *folder) raise() error {
	if f.version == Format {
		return nil
	}
	if err := writeFormat(f.format); err != nil {
		return folderError(f.dir, "cannot be written", err)
	}
	f.version = Format
	return nil
}

func (f *folder) close() error { return f.format.Close() }

// databaseFiles returns the names of the files of a database in a folder, which
// is made if it does not exist.
func databaseFiles(dir string) ([]string, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, folderError(dir, "cannot be created", err)
		}
	case err != nil:
		return nil, folderError(dir, "cannot be opened", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s is a file: choose a folder, which is created if it does not exist", ErrFolder, dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, folderError(dir, "cannot be read", err)
	}
	var files []string
	for _, entry := range entries {
		if isDatabaseFile(entry.Name()) {
			files = append(files, entry.Name())
		}
	}
	return files, nil
}

func isDatabaseFile(name string) bool {
	return name == manifestFile || name == "KEYREGISTRY" || name == "DISCARD" ||
		slices.Contains([]string{tableExt, walExt, valueLogExt}, filepath.Ext(name))
}

// requireSpace returns ErrNoSpace if there is less room than the configuration asks for.
func requireSpace(cfg Config) error {
	free, err := cfg.FreeSpace(cfg.Dir)
	if err != nil {
		return folderError(cfg.Dir, "cannot be examined", err)
	}
	if free < cfg.MinFree {
		return fmt.Errorf("%w: %s has %d MiB free and needs %d MiB: make room",
			ErrNoSpace, cfg.Dir, free>>20, cfg.MinFree>>20)
	}
	return nil
}

func folderError(dir, what string, err error) error {
	return fmt.Errorf("%w: %s %s (%w): choose another folder, or let the user that runs this program write to it",
		ErrFolder, dir, what, err)
}

func lockedError(dir string) error {
	holder := ""
	if pid, err := os.ReadFile(filepath.Join(dir, "LOCK")); err == nil && len(pid) < 32 {
		holder = " (process " + strings.TrimSpace(string(pid)) + ")"
	}
	return fmt.Errorf("%w%s: %s: stop that process, or choose another folder", ErrLocked, holder, dir)
}

// damaged says what is wrong with a store that is not to be opened.
func damaged(dir, what string) error {
	return fmt.Errorf("%w: %s: %s: nothing was changed; keep a copy of the folder and restore a backup",
		ErrDamaged, dir, what)
}
