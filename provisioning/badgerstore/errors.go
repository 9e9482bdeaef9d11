package badgerstore

import "errors"

// Errors of Open, to be told apart by errors.Is; their texts say what to do.
// None of them leaves anything changed in the folder.
var (
	// ErrFolder: the folder cannot be used: it is a file, or may not be read or
	// written, or holds something else.
	ErrFolder = errors.New("data folder cannot be used")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("data folder is in use by another process")
	// ErrNewerFormat: a newer version of the program has written the store.
	ErrNewerFormat = errors.New("data folder has a newer format")
	// ErrDamaged: what is stored is not what was written. It is also returned by
	// reads that meet such a record.
	ErrDamaged = errors.New("data folder is damaged")
	// ErrNoSpace: there is too little room on the disk. Writes return it too.
	ErrNoSpace = errors.New("too little space on the disk")
)
