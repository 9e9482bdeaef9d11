//go:build !unix

package badgerstore

import "os"

// lock leaves it to Badger, which has a lock of its own, to keep a second
// process out.
func lock(*os.File) error { return nil }
