package authhook

import "container/list"

// A recent is a map of at most limit entries, in which a new one takes the place of that which was not used for longest. It is not
// for concurrent use.
type recent[K comparable, V any] struct {
	limit int
	order list.List // of recentEntry, the latest used first
	byKey map[K]*list.Element
}

type recentEntry[K comparable, V any] struct {
	key   K
	value V
}

// get returns the value of a key, which is used by that, and whether there is one.
func (r *recent[K, V]) get(key K) (V, bool) {
	element, ok := r.byKey[key]
	if !ok {
		var none V
		return none, false
	}
	r.order.MoveToFront(element)
	return entryOf[K, V](element).value, true
}

// put adds a value under a key that has none.
func (r *recent[K, V]) put(key K, value V) {
	if r.byKey == nil {
		r.byKey = make(map[K]*list.Element)
	}
	if len(r.byKey) >= r.limit {
		r.remove(entryOf[K, V](r.order.Back()).key)
	}
	r.byKey[key] = r.order.PushFront(recentEntry[K, V]{key, value})
}

func (r *recent[K, V]) remove(key K) {
	if element, ok := r.byKey[key]; ok {
		r.order.Remove(element)
		delete(r.byKey, key)
	}
}

// trim removes what was not used for longest, for as long as it is stale.
func (r *recent[K, V]) trim(stale func(V) bool) {
	for last := r.order.Back(); last != nil; last = r.order.Back() {
		entry := entryOf[K, V](last)
		if !stale(entry.value) {
			return
		}
		r.remove(entry.key)
	}
}

func entryOf[K comparable, V any](element *list.Element) recentEntry[K, V] {
	return element.Value.(recentEntry[K, V]) //nolint:forcetypeassert // nothing else is in the list
}
