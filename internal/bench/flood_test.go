package bench

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	floodBody = 1 << 10
	floodRate = 128 << 20 // bytes a second
	floodTime = time.Minute
)

// flood sends at a steady pace to nodes that may not read, and knows what must arrive in the end: what was not bounced.
type flood struct {
	*Load
	size    int // of a frame as it is sent
	bounced atomic.Int64
}

// newFlood sends frames of a form from a node to others, in turn. Who receives is to be added with Take.
func newFlood(send *Link, form *Form, to Range) *flood {
	f := &flood{size: len(form.sent)}
	f.Load = &Load{Source: NewSource(form, Names{To: to, InTurn: true}, 1, batch/len(form.sent)), Senders: []*Link{send}, Meter: NewMeter()}
	f.Skip(send, func(b []byte) { f.bounced.Add(int64(bytes.Count(b, []byte("</error>")))) })
	return f
}

// pour sends so many bytes.
func (f *flood) pour(total int) error {
	defer punctual()()
	began, sent := time.Now(), 0
	for n := f.Source.Batch(); sent < total; sent += n * f.size {
		due := began.Add(time.Duration(float64(sent) / floodRate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			pause(wait)
		}
		if err := f.send(n); err != nil {
			return err
		}
	}
	return nil
}

// finish waits until each stanza has arrived that was not bounced, and gives how many were of whose bounce the sender was not told, because
// it did not take as many errors as fast. The server is idle, so that all that it bounced is known.
func (f *flood) finish(c *child) (untold uint64) {
	c.tb.Helper()
	l := c.tell("ledger").Ledger
	if err := f.Meter.Wait(f.Source.Due()-f.bounced.Load()-int64(l.Untold), floodTime); err != nil {
		c.tb.Fatalf("%v; %d of %d came back; the server's account: %+v", err, f.bounced.Load(), f.Source.Due(), *c.tell("ledger").Ledger)
	}
	return l.Untold
}

// valve is a connection whose reads can be stopped. One that waits for bytes already gets them.
type valve struct {
	net.Conn
	mu   sync.Mutex
	gate chan struct{} // closed by open; nil: it is open
}

// Read reads when the valve is open.
func (v *valve) Read(b []byte) (int, error) {
	v.mu.Lock()
	gate := v.gate
	v.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return v.Conn.Read(b)
}

func (v *valve) shut() {
	v.mu.Lock()
	v.gate = make(chan struct{})
	v.mu.Unlock()
}

func (v *valve) open() {
	v.mu.Lock()
	if v.gate != nil {
		close(v.gate)
		v.gate = nil
	}
	v.mu.Unlock()
}

// Close ends the reads.
func (v *valve) Close() error {
	v.open()
	return v.Conn.Close()
}
