package routing

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// wire is an Output that takes as many bytes as it is told to.
type wire struct {
	mu     sync.Mutex
	got    []byte   // without the barrier pings
	asked  []string // ids of barrier pings that nobody has answered
	room   int      // bytes it still takes at once; a barrier ping needs none
	broken bool
	freed  *sync.Cond
}

func newWire(room int) *wire {
	w := &wire{room: room}
	w.freed = sync.NewCond(&w.mu)
	return w
}

var errBroken = errors.New("the link is broken")

func (w *wire) TryWrite(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return 0, errBroken
	}
	for n := 0; ; {
		stanzas, ping, id := cutPing(b[n:])
		k := min(w.room, stanzas)
		w.got = append(w.got, b[n:n+k]...)
		w.room, n = w.room-k, n+k
		if k < stanzas || ping == 0 {
			return n, nil
		}
		w.asked, n = append(w.asked, id), n+ping
	}
}

// Write waits for room, and like a connection may take a part before it fails.
func (w *wire) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := w.TryWrite(b[n:])
		n += m
		if err != nil {
			return n, err
		}
		w.mu.Lock()
		for n < len(b) && w.room == 0 && !w.broken {
			w.freed.Wait()
		}
		w.mu.Unlock()
	}
	return n, nil
}

func (w *wire) Interrupt() { w.breakIt() }

func (w *wire) breakIt() {
	w.mu.Lock()
	w.broken = true
	w.mu.Unlock()
	w.freed.Broadcast()
}

func (w *wire) give(n int) {
	w.mu.Lock()
	w.room += n
	w.mu.Unlock()
	w.freed.Broadcast()
}

// testQueue gives a queue without proof, and without a disk.
func testQueue(limit int, writers *sync.WaitGroup) *Queue {
	env := &queueEnv{wg: writers, lost: func(Reason, storage.NodeID) {}, clock: new(atomic.Int64), moment: new(atomic.Uint64), most: new(atomic.Int64), tight: new(atomic.Bool),
		mono: func() int64 { return 1 }, arm: func(*Queue) {}, server: "hub", off: true}
	return newQueue(limit, env, &Node{Domain: "node"}, "node")
}

func TestBlockAdvance(t *testing.T) {
	b := newBlock(0)
	for _, s := range []string{"aaa", "b", "cccc"} {
		b.b = append(b.b, s...)
		b.recs = append(b.recs, rec{size: uint32(len(s))})
	}
	for _, c := range []struct{ n, stanzas, size int }{{2, 0, 0}, {1, 1, 3}, {2, 1, 1}, {3, 1, 4}} {
		if st, size := b.advance(c.n); st != c.stanzas || size != c.size {
			t.Errorf("advance(%d) = %d, %d", c.n, st, size)
		}
	}
	if !b.empty() {
		t.Error("not empty")
	}
}

// Many writers and one slow wire: nothing is left lying once the wire takes bytes again.
func TestQueueConcurrent(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			var writers sync.WaitGroup
			q := testQueue(1<<20, &writers)
			w := newWire(10)
			q.attach(w, false)
			_ = q.begin(w, nil)
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := range 50 {
						raw := fmt.Sprintf("<iq%d %s>", g*1000+i, strings.Repeat("x", i))
						if _, flush := q.put(&stanza.Header{Raw: []byte(raw)}, nil, rec{origin: 1}); flush {
							q.flush()
						}
						w.give(20)
					}
				})
			}
			wg.Wait()
			w.give(1 << 20)
			synctest.Wait()
			if s := q.stats(); s.Waiting != 0 || s.Bytes != 0 || s.Written != 200 {
				t.Fatalf("left lying: %+v", s)
			}
			q.detach(w)
			writers.Wait()
		})
	}
}
