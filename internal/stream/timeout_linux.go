package stream

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LimitSilence lets the kernel end the connection when bytes that we sent have not been acknowledged for so long,
// or the peer's window has been shut for so long: a peer that vanished is found, one that is slow is not ended.
func (c *Conn) LimitSilence(d time.Duration) {
	nc := c.nc
	if inner, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = inner.NetConn() // TLS
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		})
	}
}
