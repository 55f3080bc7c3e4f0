package fault

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	chunk    = 32 << 10 // most bytes of one read
	mostHeld = 1 << 20  // most bytes that one way of a link holds back, give or take a chunk
)

// half is one way of a link.
type half struct {
	// set once
	l     *Link
	index int // of the connection that it writes to

	// guarded by the mutex of the Proxy
	from, to *net.TCPConn // set with the connection to the server, before the pump runs
	mode     mode
	cut      bool // to takes nothing any more
	writing  bool
	stale    bool // the write that is under way began before the last change
	passed   uint64

	// owned by the pump
	held  []piece
	size  int       // bytes in held
	ended bool      // from has come to its end
	last  time.Time // the last write
}

// piece is what one read brought.
type piece struct {
	b    []byte
	came time.Time
}

// step is what a pump does next.
type step uint8

const (
	over step = iota
	end       // hand on the end
	read
	write
)

// pump carries one way of a link to its end.
func (h *half) pump() {
	buf := make([]byte, chunk)
	for {
		switch what, most := h.next(); what {
		case over:
			return
		case end:
			_ = h.to.CloseWrite()
			return
		case read:
			h.read(buf)
		case write:
			h.write(most)
		}
	}
}

// next waits until there is something to do. The deadline of a read or write is set in the same breath as the modes are
// looked at, so a change always comes before it, or interrupts it.
func (h *half) next() (what step, most int) {
	mu := &h.l.p.mu
	for {
		mu.Lock()
		var due time.Time
		switch blocked := h.mode.stalled || h.l.p.parted || h.l.gone != 0; {
		case h.l.gone == Both:
			mu.Unlock()
			return over, 0
		case !blocked:
			if h.cut {
				h.held, h.size = nil, 0
			}
			if what, most, due = h.ready(); what == read {
				_ = h.from.SetReadDeadline(due)
			} else if what == write {
				h.writing = true
				_ = h.to.SetWriteDeadline(time.Time{})
			}
			if what != over {
				mu.Unlock()
				return what, most
			}
		}
		changed := h.l.changed
		mu.Unlock()
		await(changed, due)
	}
}

// ready says what a way that is not blocked does next: over is nothing before due. A read ends when the first of what is
// held is due.
func (h *half) ready() (what step, most int, due time.Time) {
	if len(h.held) == 0 {
		if h.ended {
			return end, 0, due
		}
		return read, 0, due
	}
	most = len(h.held[0].b)
	due = h.held[0].came.Add(h.mode.delay)
	if h.mode.bytes > 0 {
		most = min(most, h.mode.bytes)
		if next := h.last.Add(h.mode.every); next.After(due) {
			due = next
		}
	}
	switch {
	case !due.After(time.Now()):
		return write, most, due
	case h.mode.delay > 0 && !h.ended && h.size < mostHeld:
		return read, 0, due
	}
	return over, 0, due
}

// await waits for a change, or until a time, if there is one.
func await(changed <-chan struct{}, until time.Time) {
	if until.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

func (h *half) read(buf []byte) {
	n, err := h.from.Read(buf)
	if n > 0 {
		h.held, h.size = append(h.held, piece{bytes.Clone(buf[:n]), time.Now()}), h.size+n
	}
	if err == io.EOF {
		h.ended = true
	} else {
		h.failed(err)
	}
}

func (h *half) write(most int) {
	n, err := h.to.Write(h.held[0].b[:most])
	h.last, h.size = time.Now(), h.size-n
	if h.held[0].b = h.held[0].b[n:]; len(h.held[0].b) == 0 {
		h.held = h.held[1:]
	}
	h.l.p.mu.Lock()
	h.passed += uint64(n)
	h.writing = false
	if h.stale {
		h.stale = false
		h.l.notify()
	}
	cut := h.cut
	h.l.p.mu.Unlock()
	if !cut {
		h.failed(err)
	}
}

// failed resets the link if its network has failed, and not by the hand of this package.
func (h *half) failed(err error) {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	h.l.p.mu.Lock()
	defer h.l.p.mu.Unlock()
	if h.l.gone == 0 {
		h.l.reset(Both)
	}
}
