package badgerstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// The files of a Badger database.
const (
	manifestFile = badger.ManifestFilename
	tableExt     = ".sst"
	walExt       = ".mem"
	valueLogExt  = ".vlog"
)

// inspect reads a database before Badger does and returns ErrDamaged for what
// Badger would repair by throwing data away: it deletes tables that a cut
// manifest does not list, goes on without a table whose checksum is wrong, and
// cuts a log at the first entry that is. Nothing is changed, but for log files
// of no bytes, which a crash leaves and Badger stumbles over: they are removed.
func inspect(dir string, files []string) error {
	if len(files) == 0 {
		return nil
	}
	if err := checkAccess(dir, files); err != nil {
		return err
	}
	if !slices.Contains(files, manifestFile) {
		return damaged(dir, "the file "+manifestFile+" is lost")
	}
	manifest, cut, err := readManifest(filepath.Join(dir, manifestFile))
	if err != nil {
		return damaged(dir, fmt.Sprintf("%s cannot be read: %v", manifestFile, err))
	}
	if err := checkTables(dir, files, manifest, cut); err != nil {
		return err
	}
	var empty []string
	for _, ext := range []string{walExt, valueLogExt} {
		found, err := checkLogs(dir, slices.DeleteFunc(slices.Clone(files), func(name string) bool {
			return filepath.Ext(name) != ext
		}))
		if err != nil {
			return err
		}
		empty = append(empty, found...)
	}
	for _, path := range empty {
		if err := os.Remove(path); err != nil {
			return folderError(dir, "cannot be written", err)
		}
	}
	return nil
}

// checkAccess opens every file as Badger will.
func checkAccess(dir string, files []string) error {
	for _, name := range files {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			return folderError(dir, "cannot be written", err)
		}
		if err := f.Close(); err != nil {
			return folderError(dir, "cannot be written", err)
		}
	}
	return nil
}

// readManifest returns the list of tables, and whether the file ends in the
// middle of an entry.
func readManifest(path string) (manifest badger.Manifest, cut bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return badger.Manifest{}, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return badger.Manifest{}, false, err
	}
	manifest, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(""))
	return manifest, end < info.Size(), err
}

// checkTables verifies every table that the manifest lists. One that it does not
// list is what a crash leaves of a table that was being made, and its content is
// elsewhere too; unless the manifest is cut, or lists nothing at all.
func checkTables(dir string, files []string, manifest badger.Manifest, cut bool) error {
	logs := slices.ContainsFunc(files, func(name string) bool { return filepath.Ext(name) == walExt })
	for _, name := range files {
		id, ok := table.ParseFileID(name)
		if _, listed := manifest.Tables[id]; !ok || listed {
			continue
		}
		if cut || len(manifest.Tables) == 0 && !logs {
			return damaged(dir, fmt.Sprintf("%s is cut short: it does not list %s", manifestFile, name))
		}
	}
	for id, entry := range manifest.Tables {
		name := filepath.Base(table.NewFilename(id, dir))
		err := verifyTable(filepath.Join(dir, name), id, entry.Compression)
		if errors.Is(err, fs.ErrNotExist) {
			return damaged(dir, "the file "+name+" is lost")
		}
		if err != nil {
			return damaged(dir, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return nil
}

// verifyTable checks the checksums of a table, of its index and every block.
func verifyTable(path string, id uint64, compression options.CompressionType) (err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil { // what Badger's decoders do on nonsense
			err = errors.New("it cannot be decoded")
		}
	}()
	t, err := table.OpenInMemoryTable(data, id, &table.Options{Compression: compression, BlockSize: blockSize})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
