//go:build unix

package stream

import (
	"io"
	"net"
	"os"
	"syscall"
)

func rawConn(tc *net.TCPConn) syscall.RawConn {
	raw, err := tc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readReady runs inside RawConn.Read for the life of the connection: it reads until the socket is empty,
// gives the buffer back, and returns false to wait for more. Reading to EAGAIN is needed: the poller is
// edge-triggered, and an end of stream that came together with the last bytes gives no second edge.
func (c *Conn) readReady(fd uintptr) bool {
	for {
		if c.halted.Load() {
			c.rx.err = os.ErrDeadlineExceeded
			return true
		}
		n, err := syscall.Read(int(fd), c.rx.space())
		switch {
		case err == syscall.EAGAIN:
			c.rx.release()
			return false
		case err == syscall.EINTR:
			continue
		case err != nil:
			c.rx.err = os.NewSyscallError("read", err)
			return true
		case n == 0:
			c.rx.err = io.EOF
			return true
		}
		if !c.rx.got(n) {
			return true
		}
	}
}

func (c *Conn) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), c.wbuf[c.wn:])
		if n > 0 {
			c.wn += n
		}
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			c.werr = os.NewSyscallError("write", err)
			return true
		case c.wn == len(c.wbuf):
			return true
		}
	}
}
