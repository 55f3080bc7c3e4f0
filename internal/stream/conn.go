package stream

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Feed takes the bytes received and not yet consumed, and returns how many of them it consumed. What it leaves
// comes again, at the front of a longer slice. The slice is borrowed until Feed returns. An error ends Receive.
type Feed func(b []byte) (n int, err error)

// Conn is one connection that carries a stream, plain or TLS.
type Conn struct {
	// set once
	nc  net.Conn
	raw syscall.RawConn // nil when bytes do not go straight to a socket (TLS, tests)

	// owned by the reader
	rx    receiver
	readf func(fd uintptr) bool // made once: a closure per read would allocate

	// owned by the holder of the writing flag
	wbuf   []byte
	wn     int
	werr   error
	writef func(fd uintptr) bool

	halted    atomic.Bool
	closeOnce sync.Once
}

// NewConn wraps an accepted or dialed connection.
func NewConn(nc net.Conn) *Conn {
	c := &Conn{nc: nc}
	if tc, ok := nc.(*net.TCPConn); ok {
		c.raw = rawConn(tc)
	}
	c.readf = c.readReady
	c.writef = c.writeOnce
	return c
}

// SetReadDeadline bounds the wait for the next bytes; the zero time lifts the bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// Halt ends Receive with os.ErrDeadlineExceeded, now if it waits, else before it reads again: a peer that sends
// without a pause never lets it come to a wait. Any goroutine may call it.
func (c *Conn) Halt() {
	c.halted.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// Resume undoes Halt, for another Receive.
func (c *Conn) Resume() {
	c.halted.Store(false)
	_ = c.nc.SetReadDeadline(time.Time{})
}

// Close closes the connection at once and ends Receive and Write. It can be called more than once.
func (c *Conn) Close() error {
	var err error
	c.closeOnce.Do(func() { err = c.nc.Close() })
	return err
}

// ErrBufferFull ends a Receive whose Feed consumed nothing of a buffer that had reached its bound. A Scanner
// with limits never lets it come to that.
var ErrBufferFull = errors.New("receive buffer is full")

// Receive reads until the connection ends or feed returns an error; the error of either is returned, io.EOF
// for the peer's orderly end of TCP. limit bounds the bytes that feed may leave unconsumed.
func (c *Conn) Receive(limit int, feed Feed) error {
	c.rx.limit, c.rx.feed = limit, feed
	defer c.rx.release()
	if c.raw == nil {
		return c.receiveGeneric()
	}
	if err := c.raw.Read(c.readf); err != nil {
		return err
	}
	return c.rx.err
}

// SetLimit changes the limit of Receive. Only feed may call it.
func (c *Conn) SetLimit(limit int) { c.rx.limit = limit }

// receiveGeneric reads through net.Conn. The buffer stays borrowed while the reader waits, so it starts small.
func (c *Conn) receiveGeneric() error {
	c.rx.generic = true
	for {
		if c.halted.Load() {
			return os.ErrDeadlineExceeded
		}
		n, err := c.nc.Read(c.rx.space())
		if n > 0 && !c.rx.got(n) {
			return c.rx.err
		}
		if err != nil {
			return err
		}
	}
}

// Write writes all of b, waiting as long as the peer takes; Close ends the wait.
func (c *Conn) Write(b []byte) (int, error) { return c.nc.Write(b) }

// Interrupt makes a Write that waits fail now; a later SetWriteDeadline lets others write again.
func (c *Conn) Interrupt() { _ = c.nc.SetWriteDeadline(time.Unix(1, 0)) }

// SetWriteDeadline bounds Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.nc.SetWriteDeadline(t) }

// TryWrite writes what the socket takes now and returns at once; n < len(b) with a nil error means that the
// socket would block. Over TLS it never writes: the writer must.
func (c *Conn) TryWrite(b []byte) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	c.wbuf, c.wn, c.werr = b, 0, nil
	err := c.raw.Write(c.writef)
	c.wbuf = nil
	if err == nil {
		err = c.werr
	}
	return c.wn, err
}
