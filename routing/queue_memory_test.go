package routing

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

// slowOutbox has what it was given on disk only when it is told to.
type slowOutbox struct {
	mu   sync.Mutex
	late []func(error)
}

func (o *slowOutbox) Put(_ string, _ uint64, _ []byte, done func(error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.late = append(o.late, done)
	return nil
}

func (o *slowOutbox) Get(string, uint64) ([]byte, error) {
	return nil, fmt.Errorf("get block: nobody asks")
}
func (o *slowOutbox) Delete(string, uint64) {}

func (o *slowOutbox) commit() {
	o.mu.Lock()
	late := o.late
	o.late = nil
	o.mu.Unlock()
	for _, done := range late {
		done(nil)
	}
}

// crowd is many nodes that do not read, on one server.
type crowd struct {
	queues []*Queue
	env    *queueEnv
	disk   *slowOutbox
}

func newCrowd(n, limit int, memory int64, out Output) *crowd {
	c := &crowd{disk: &slowOutbox{}}
	c.env = testQueue(limit, &sync.WaitGroup{}).env
	c.env.outbox = c.disk
	c.env.memory.Store(memory)
	for i := range n {
		q := newQueue(limit, c.env, &Node{Domain: fmt.Sprint("node", i)}, fmt.Sprint("node", i))
		q.out = out
		c.queues = append(c.queues, q)
	}
	return c
}

// put gives a queue one stanza, and the disk what is due.
func (c *crowd) put(q *Queue, raw []byte) putResult {
	res, flush := q.put(&stanza.Header{Raw: raw}, nil, rec{origin: 1})
	if flush {
		q.mu.Lock()
		q.scheduled = false
		q.keep()
		q.unlock()
	}
	return res
}

// fill puts stanzas into all queues in turn until each refuses, and tells how many were taken.
func (c *crowd) fill(raw []byte) (taken int) {
	for more := true; more; {
		more = false
		for _, q := range c.queues {
			if c.put(q, raw) == putOK {
				taken, more = taken+1, true
			}
		}
	}
	return taken
}

// TestMemoryLimit has six nodes that are away, or attached and stuck, and a disk that does not follow: what all take is
// bounded, a queue that is nearly empty takes what comes all the same, and when the disk has it there is room again.
func TestMemoryLimit(t *testing.T) {
	const limit, memory = 4 << 20, 16 << 20
	raw := []byte("<message to='node'>" + string(bytes.Repeat([]byte("x"), 1000)) + "</message>")
	for name, out := range map[string]Output{"away": nil, "stuck": &sink{}} {
		for _, tight := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", tight), func(t *testing.T) {
				c := newCrowd(6, limit, memory, out)
				c.env.tight.Store(tight)
				first := c.fill(raw)
				rest := int64(len(c.queues) * (limit/8 + reserve + largeBlock)) // what each may have in any case, and a block
				if used := c.env.blocks.Load() + c.env.coming.Load(); first == 0 || used < memory/10*9 || used > memory/10*9+rest {
					t.Errorf("%d KiB are used after %d stanzas", used>>10, first)
				}
				free := newQueue(limit, c.env, &Node{Domain: "free"}, "free")
				for range limit / 8 / len(raw) {
					if c.put(free, raw) != putOK {
						t.Fatal("a node for which little waits suffers")
					}
				}
				c.env.tight.Store(true)
				for _, q := range c.queues {
					q.spillWaiting()
				}
				c.disk.commit()
				if used := c.env.used(); used > memory*3/4 || c.env.coming.Load() != 0 {
					t.Errorf("%d KiB are used, and %d on the way, when all is on disk", used>>10, c.env.coming.Load())
				}
				if again := c.fill(raw); again < first/10 {
					t.Errorf("only %d stanzas are taken then, and %d before", again, first)
				}
			})
		}
	}
}

// TestFreeMemory floods one node that is stuck while the disk is slow: what is free of memory bridges that, but a part is left to others, to
// whom nothing changes. Without a bound, or when memory is tight, it is as much again as the limit, or little.
func TestFreeMemory(t *testing.T) {
	const limit, memory = 1 << 20, 64 << 20
	raw := []byte("<message to='node'>" + string(bytes.Repeat([]byte("x"), 1000)) + "</message>")
	for _, c := range []struct {
		name        string
		memory      int64
		tight       bool
		least, most int // bytes
	}{
		{"free", memory, false, memory / 10 * 7 / 4, memory / 10 * 7 / 3},
		{"tight", memory, true, limit, limit * 5 / 4},
		{"no bound", 0, false, 2*limit - spillBlock, 2*limit + spillBlock},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newCrowd(2, limit, c.memory, &sink{})
			w.env.tight.Store(c.tight)
			first := w.queues[0]
			size := 0
			for w.put(first, raw) == putOK {
				size += len(raw)
			}
			if size < c.least || size > c.most {
				t.Errorf("%d KiB of one node wait, not %d to %d", size>>10, c.least>>10, c.most>>10)
			}
			if used := w.env.used(); c.memory > 0 && used > c.memory/10*7+largeBlock*4 {
				t.Errorf("%d KiB are used", used>>10)
			}
			if res, _ := first.put(&stanza.Header{Raw: raw}, nil, rec{}); res != putOK {
				t.Error("there is no room for an answer of the server's")
			}
			size = 0
			for w.put(w.queues[1], raw) == putOK {
				size += len(raw)
			}
			if size < min(c.least, 2*limit-spillBlock) {
				t.Errorf("only %d KiB of the second node wait", size>>10)
			}
			w.disk.commit()
			if w.put(first, raw) != putOK {
				t.Error("the disk has all, and there is no room")
			}
		})
	}
}

// TestSpillWaiting sends to the disk what waits for a node that is stuck.
func TestSpillWaiting(t *testing.T) {
	c := newCrowd(1, 4<<20, 0, &sink{})
	raw := []byte("<message to='node'>" + string(bytes.Repeat([]byte("x"), 1000)) + "</message>")
	for range 1000 {
		c.put(c.queues[0], raw)
	}
	if size := c.queues[0].spillWaiting(); size < 700_000 || c.env.coming.Load() < int64(size) {
		t.Errorf("%d bytes were spilled, %d are on the way", size, c.env.coming.Load())
	}
	used := c.queues[0].stats().Memory
	c.disk.commit()
	if now := c.queues[0].stats().Memory; now != used { // all is within what is read ahead
		t.Errorf("%d bytes of %d stay in memory", now, used)
	}
	c.env.tight.Store(true)
	c.queues[0].spillWaiting()
	if now := c.queues[0].stats().Memory; now > 2*largeBlock || int64(now) != c.env.used() {
		t.Errorf("%d bytes of %d stay in memory when it is short; the account says %d", now, used, c.env.used())
	}
}
