//go:build !linux

package stream

import (
	"net"
	"time"
)

// Unsent gives the bytes that the peer's host has not acknowledged: here that cannot be told.
func (c *Conn) Unsent() int { return 0 }

// LimitSilence lets the kernel probe a connection from which nothing comes, so that a host that vanished is found after about d.
func (c *Conn) LimitSilence(d time.Duration) {
	nc := c.nc
	if inner, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = inner.NetConn() // TLS
	}
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d / 2, Interval: d / 8, Count: 4})
	}
}
