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
