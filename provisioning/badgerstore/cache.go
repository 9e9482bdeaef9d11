package badgerstore

import (
	"math"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache keeps decoded records of one kind in memory, those that were asked for
// last, as many as fit. They are shared: nobody changes them.
//
// What it holds is what the database holds. A record that is about to be written
// is taken out before the write, and comes in again only from a read that began
// after it: whoever reads one for the cache claims its ID first, and the write of
// that record voids the claim.
type cache[T any] struct {
	mu      sync.Mutex
	records *simplelru.LRU[string, cached[T]]
	room    int // what is left, in bytes
	// claims says which claim to an ID is good. There are as many as reads and
	// writes are on their way.
	claims map[string]claim
	last   claim
}

type cached[T any] struct {
	record *T
	size   int
}

// claim is the right to put in a record. No two are alike; the zero claim is none.
type claim uint64

// newCache returns a cache that takes as many bytes as there is room.
func newCache[T any](room int) *cache[T] {
	c := &cache[T]{room: room, claims: map[string]claim{}}
	var err error
	c.records, err = simplelru.NewLRU(math.MaxInt, func(_ string, out cached[T]) { c.room += out.size })
	if err != nil {
		panic(err) // the number of records is not positive
	}
	return c
}

// get returns a record, nil if it is not here.
func (c *cache[T]) get(id string) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, _ := c.records.Get(id)
	return found.record
}

// claim is called before a record is read. It returns no claim if the record is
// being read for the cache, or written.
func (c *cache[T]) claim(id string) claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claims[id] != 0 {
		return 0
	}
	return c.give(id)
}

// give makes a new claim the one that is good.
func (c *cache[T]) give(id string) claim {
	c.last++
	c.claims[id] = c.last
	return c.last
}

// put ends a claim with what was read, nil for nothing. If the claim is void, or
// the record larger than all the room, the record stays out.
func (c *cache[T]) put(id string, by claim, record *T, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by == 0 || c.claims[id] != by {
		return
	}
	delete(c.claims, id)
	if record == nil {
		return
	}
	c.records.Remove(id)
	c.records.Add(strings.Clone(id), cached[T]{record, size}) // the caller's may be a part of a request
	for c.room -= size; c.room < 0; {
		c.records.RemoveOldest()
	}
}

// hold takes records out and keeps them out until release.
func (c *cache[T]) hold(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.give(id)
		c.records.Remove(id)
	}
}

func (c *cache[T]) release(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.claims, id)
	}
}
