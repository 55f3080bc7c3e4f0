package routing

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

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
	env := &queueEnv{wg: writers, lost: func(Reason, storage.NodeID) {}, clock: new(atomic.Int64), ticks: new(atomic.Int64), most: new(atomic.Int64), tight: new(atomic.Bool),
		mono: func() int64 { return 1 }, arm: func(*Queue) {}, server: "hub", off: true}
	return newQueue(limit, env, &Node{Domain: "node"}, "node")
}

// The queue as a machine: whatever links come and go and however little they take, every stanza that was
// taken is written whole, in order, exactly once in whole, or is still waiting, or was a request taken out at a
// drop; and the numbers say so.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &queueModel{q: testQueue(2000, &sync.WaitGroup{}), gone: map[int]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"put":    m.put,
			"attach": m.attach,
			"detach": m.detach,
			"room":   m.room,
			"flush":  func(*rapid.T) { m.q.flush() },
			"":       m.check,
		})
		m.finish(t)
	})
}

type queueModel struct {
	q     *Queue
	w     *wire
	next  int
	all   []int // in the order in which they were taken
	gone  map[int]bool
	kinds []class
	whole []int // read from the wires, whole ones only
}

func (m *queueModel) put(t *rapid.T) {
	c := class(rapid.IntRange(0, 1).Draw(t, "class"))
	size := rapid.SampledFrom([]int{0, 1, 50, 700, 5000}).Draw(t, "size")
	raw := fmt.Sprintf("<iq%d %s>", m.next, bytes.Repeat([]byte("x"), size))
	res, flush := m.q.put(&stanza.Header{Raw: []byte(raw)}, nil, rec{class: c, origin: 1})
	m.kinds = append(m.kinds, c)
	if res == putOK {
		m.all = append(m.all, m.next)
	}
	if res == putLater && m.w != nil && !m.w.broken {
		t.Fatalf("a request was put off although there is a link")
	}
	m.next++
	if flush {
		m.q.flush()
	}
}

func (m *queueModel) attach(t *rapid.T) {
	if m.w != nil {
		return
	}
	m.w = newWire(rapid.SampledFrom([]int{0, 3, 100, 1 << 20}).Draw(t, "room"))
	m.q.attach(m.w, false)
	_ = m.q.begin(m.w, nil)
}

func (m *queueModel) detach(*rapid.T) {
	if m.w == nil {
		return
	}
	m.w.breakIt()
	m.q.detach(m.w)
	m.read()
	m.w = nil
}

func (m *queueModel) room(t *rapid.T) {
	if m.w != nil {
		m.w.give(rapid.SampledFrom([]int{1, 60, 4000}).Draw(t, "room"))
	}
}

// read takes the whole stanzas that a wire got; a part at the end is worth nothing.
func (m *queueModel) read() {
	for _, part := range bytes.SplitAfter(m.w.got, []byte(">")) {
		var n int
		if _, err := fmt.Sscanf(string(part), "<iq%d", &n); err == nil && part[len(part)-1] == '>' {
			m.whole = append(m.whole, n)
		}
	}
}

func (m *queueModel) check(t *rapid.T) {
	s := m.q.stats()
	if s.Written > s.Queued || int(s.Queued) != len(m.all) {
		t.Fatalf("numbers: %+v, taken %d", s, len(m.all))
	}
}

// finish attaches a link that takes everything, and compares what came with what was taken.
func (m *queueModel) finish(t *rapid.T) {
	m.detach(t)
	m.w = newWire(1 << 30)
	m.q.attach(m.w, false)
	_ = m.q.begin(m.w, nil)
	for m.q.stats().Waiting > 0 {
		runtime.Gosched() // the queue's writer is at it
	}
	m.q.detach(m.w)
	m.read()
	s := m.q.stats()
	if s.Waiting != 0 || s.Bytes != 0 || int(s.Written) != len(m.whole) || int(s.Written+s.Dropped) != len(m.all) {
		t.Fatalf("stats %+v, %d arrived of %d", s, len(m.whole), len(m.all))
	}
	at := 0
	for _, n := range m.all {
		if at < len(m.whole) && m.whole[at] == n {
			at++
		} else if m.kinds[n] != classRequest {
			t.Fatalf("stanza %d is missing or out of order: %v of %v", n, m.whole, m.all)
		}
	}
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
