package provisioning

import (
	"fmt"
	"io"
	"sync"
)

// idDigits are lower-case digits and letters without those that are mistaken for
// one another when a label is read aloud (i, l, o, u).
const idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// lockedReader makes a source of randomness safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

// Read reads from the source.
func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

func (l *lockedReader) fill(p []byte) error {
	if _, err := io.ReadFull(l, p); err != nil {
		return fmt.Errorf("reading randomness: %w", err)
	}
	return nil
}

// id draws an ID: the prefix and 60 random bits as 12 digits.
func (l *lockedReader) id(prefix string) (string, error) {
	var raw [12]byte
	if err := l.fill(raw[:]); err != nil {
		return "", err
	}
	for i, b := range raw {
		raw[i] = idDigits[int(b)%len(idDigits)]
	}
	return prefix + string(raw[:]), nil
}
