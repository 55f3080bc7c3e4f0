package stream

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Unsent gives the bytes that were written and that the peer's host has not acknowledged (SIOCOUTQ), 0 if that cannot be told. It
// says whether the other host is there, and nothing of what its process has read.
func (c *Conn) Unsent() (n int) {
	nc := c.nc
	if inner, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = inner.NetConn() // TLS
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) // a closed one has nothing unsent
	}
	return max(n, 0)
}

// LimitSilence does nothing where Unsent tells whether the peer's host is there. The kernel's own limit (TCP_USER_TIMEOUT)
// would end a link whose window is shut although its peer talks.
func (c *Conn) LimitSilence(time.Duration) {}
