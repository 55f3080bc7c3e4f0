package component

import (
	"bufio"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// headerBudget bounds what a server may send before the first stanza: encoding/xml itself has no limit at all.
const headerBudget = 8 << 10

var errTooLong = errors.New("read a stanza that is larger than MaxStanza allows")

// linkConn lets encoding/xml read byte by byte without a buffer of its own (it adds one to readers that lack
// ReadByte), so the bytes of each stanza can be counted and bounded.
type linkConn struct {
	net.Conn

	// owned by the reader
	br    *bufio.Reader
	limit int // budget of one stanza
	left  int

	// set once
	began time.Time
	now   func() time.Time // its wall time may jump: only what has passed between two of its times is looked at

	heard atomic.Int64 // nanoseconds from began to the last read that gave bytes
}

func newLinkConn(c net.Conn, limit int) *linkConn {
	return newClockedConn(c, limit, time.Now)
}

func newClockedConn(c net.Conn, limit int, now func() time.Time) *linkConn {
	lc := &linkConn{Conn: c, limit: limit, left: headerBudget, began: now(), now: now}
	lc.br = bufio.NewReaderSize(heardReader{lc}, 16<<10)
	return lc
}

type heardReader struct{ lc *linkConn }

func (h heardReader) Read(p []byte) (int, error) {
	n, err := h.lc.Conn.Read(p)
	if n > 0 {
		h.lc.heard.Store(int64(h.lc.now().Sub(h.lc.began)))
	}
	return n, err
}

// ReadByte gives the next byte of the stream, or an error when the budget is used up.
func (lc *linkConn) ReadByte() (byte, error) {
	if lc.left <= 0 {
		return 0, errTooLong
	}
	b, err := lc.br.ReadByte()
	if err == nil {
		lc.left--
	}
	return b, err
}

// Read is for whoever does not know ReadByte; the budget holds here too.
func (lc *linkConn) Read(p []byte) (int, error) {
	if lc.left <= 0 {
		_, err := lc.ReadByte()
		return 0, err
	}
	n, err := lc.br.Read(p[:min(len(p), lc.left)])
	lc.left -= n
	return n, err
}

// grant opens the budget of the next stanza and gives the bytes used of the last one.
func (lc *linkConn) grant() int {
	used := lc.limit - lc.left
	lc.left = lc.limit
	return used
}

// silence is the time since the last read that gave bytes.
func (lc *linkConn) silence() time.Duration {
	return lc.now().Sub(lc.began) - time.Duration(lc.heard.Load())
}
