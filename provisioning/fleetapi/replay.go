package fleetapi

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Bounds of what is kept for repetitions. It is kept in memory, since answers
// hold secrets that are otherwise never in clear; a restart forgets it.
const (
	replayLife    = 24 * time.Hour
	replayBytes   = 2 << 20 // a caller's answers, by the size of their requests
	replayCallers = 128
	// replayOverhead is what an answer weighs beside its request, in bytes.
	replayOverhead = 1 << 10
)

// replays keeps the answers to requests with an Idempotency-Key: a caller that
// repeats one, because the answer was lost on the way, gets the same again. A
// request that failed is not kept, as it changed nothing.
type replays struct {
	now     func() time.Time
	mu      sync.Mutex
	callers map[string]*callerReplays
}

type callerReplays struct {
	byKey  map[string]*list.Element
	oldest *list.List // of *replay, in order of their time
	bytes  int
	usedAt time.Time
}

// replay is one request: under way until done is closed.
type replay struct {
	key    string
	sum    fingerprint
	at     time.Time
	bytes  int
	done   chan struct{}
	answer any // nil if it failed
}

func newReplays(now func() time.Time) *replays {
	return &replays{now: now, callers: map[string]*callerReplays{}}
}

// fingerprint tells requests apart that come with the same key.
type fingerprint [sha256.Size]byte

// idempotent names a request that may be repeated.
type idempotent struct {
	key       string // Idempotency-Key, empty for none
	operation string
	target    string
	body      any
}

// once does a request, or returns the answer that it had the first time. While
// the first is under way, a repetition waits for its answer.
func once[O any](ctx context.Context, r *replays, request idempotent, do func() (*O, error)) (answer *O, replayed bool, err error) {
	if request.key == "" {
		answer, err = do()
		return answer, false, err
	}
	body, err := json.Marshal([]any{request.operation, request.target, request.body})
	if err != nil {
		return nil, false, fmt.Errorf("reading the request: %w", err)
	}
	caller, sum := callOf(ctx).caller.ClientID, fingerprint(sha256.Sum256(body))
	for {
		entry, first := r.begin(caller, request.key, sum, len(body)+replayOverhead)
		if first {
			answer, err = attempt(r, caller, entry, do)
			return answer, false, err
		}
		if entry.sum != sum {
			return nil, false, keyReused.problem("This Idempotency-Key was used for another request. Draw a new one.").
				at("header.Idempotency-Key", "was used for another request")
		}
		select {
		case <-entry.done:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		if kept, ok := entry.answer.(*O); ok {
			return kept, true, nil
		}
	}
}

// attempt does a request for the first time, and keeps its answer.
func attempt[O any](r *replays, caller string, entry *replay, do func() (*O, error)) (answer *O, err error) {
	defer func() {
		if err == nil && answer != nil {
			r.end(caller, entry, answer)
		} else {
			r.end(caller, entry, nil)
		}
	}()
	return do()
}

// begin returns the entry of a key, and whether it is new: then the caller does
// the request and calls end.
func (r *replays) begin(caller, key string, sum fingerprint, bytes int) (entry *replay, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.forget(now)
	c := r.callers[caller]
	if c == nil {
		c = &callerReplays{byKey: map[string]*list.Element{}, oldest: list.New()}
		r.callers[caller] = c
	}
	c.usedAt = now
	if element := c.byKey[key]; element != nil {
		entry, _ = element.Value.(*replay)
		return entry, false
	}
	entry = &replay{key: key, sum: sum, at: now, bytes: bytes, done: make(chan struct{})}
	c.byKey[key] = c.oldest.PushBack(entry)
	c.bytes += bytes
	return entry, true
}

// end keeps the answer of a request, nil if it failed, and wakes who waits for it.
func (r *replays) end(caller string, entry *replay, answer any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry.answer = answer
	if c := r.callers[caller]; c != nil && answer == nil {
		c.remove(entry)
	}
	close(entry.done)
}

// forget drops answers that are too old or too many, oldest first, and callers
// that are too many. Requests under way stay.
func (r *replays) forget(now time.Time) {
	for name, c := range r.callers {
		for element := c.oldest.Front(); element != nil; {
			entry, _ := element.Value.(*replay)
			element = element.Next()
			if now.Sub(entry.at) < replayLife && c.bytes <= replayBytes {
				break
			}
			if entry.answer != nil {
				c.remove(entry)
			}
		}
		if c.oldest.Len() == 0 {
			delete(r.callers, name)
		}
	}
	for len(r.callers) > replayCallers {
		if !r.forgetIdlest() {
			return
		}
	}
}

// forgetIdlest drops the caller who was idle longest and has nothing under way.
func (r *replays) forgetIdlest() bool {
	idlest := ""
	for name, c := range r.callers {
		if c.idle() && (idlest == "" || c.usedAt.Before(r.callers[idlest].usedAt)) {
			idlest = name
		}
	}
	delete(r.callers, idlest)
	return idlest != ""
}

func (c *callerReplays) idle() bool {
	for element := c.oldest.Front(); element != nil; element = element.Next() {
		if entry, _ := element.Value.(*replay); entry.answer == nil {
			return false
		}
	}
	return true
}

func (c *callerReplays) remove(entry *replay) {
	if element := c.byKey[entry.key]; element != nil && element.Value == entry {
		c.oldest.Remove(element)
		delete(c.byKey, entry.key)
		c.bytes -= entry.bytes
	}
}
