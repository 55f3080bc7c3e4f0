package conformance

import (
	"errors"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// mostInbox is how many bytes may wait in an inbox; more ends the connection.
const mostInbox = 256 << 20

var errInboxFull = errors.New("256 MiB have come that nobody waited for")

// item is one thing that has come.
type item struct {
	ev   wire.Event
	over bool  // nothing more comes: the connection has ended
	err  error // why it ended, or what is wrong with what came
	at   time.Time
}

// inbox holds what has come over one connection, in order.
type inbox struct {
	news chan struct{} // holds one when something came; set once

	// guarded by mu
	mu    sync.Mutex
	items []item
	size  int
}

func newInbox() *inbox { return &inbox{news: make(chan struct{}, 1)} }

// put adds an item. It reports false when there is no room for it.
func (b *inbox) put(it item) bool {
	b.mu.Lock()
	b.items = append(b.items, it)
	b.size += len(it.ev.Raw)
	room := b.size <= mostInbox
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
	return room
}

// peek gives the item behind n others, if it has come.
func (b *inbox) peek(n int) (item, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n >= len(b.items) {
		return item{}, false
	}
	return b.items[n], true
}

// all gives what has come so far.
func (b *inbox) all() []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.items[:len(b.items):len(b.items)]
}

// take removes the first n items; the last of all, that the connection is over, stays.
func (b *inbox) take(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range b.items[:n] {
		b.size -= len(it.ev.Raw)
	}
	if n > 0 && b.items[n-1].over {
		n--
	}
	b.items = b.items[n:]
}

// wait returns when something has come, or at a time.
func (b *inbox) wait(until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-b.news:
	case <-t.C:
	}
}

// next takes the next item, or reports false when none comes by a time.
func (b *inbox) next(until time.Time) (item, bool) {
	it, ok := b.first(until)
	if ok {
		b.take(1)
	}
	return it, ok
}

// first gives the next item, which stays, or reports false when none comes by a time.
func (b *inbox) first(until time.Time) (item, bool) {
	for {
		if it, ok := b.peek(0); ok {
			return it, true
		}
		if !time.Now().Before(until) {
			return item{}, false
		}
		b.wait(until)
	}
}

// clear takes all that has come.
func (b *inbox) clear() {
	b.mu.Lock()
	n := len(b.items)
	b.mu.Unlock()
	b.take(n)
}
