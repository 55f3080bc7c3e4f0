//go:build !linux

package stream

import (
	"net"
	"time"
)

// LimitSilence lets the kernel probe a connection from which nothing comes; only Linux can also limit how long
// bytes may stay unacknowledged.
func (c *Conn) LimitSilence(d time.Duration) {
	nc := c.nc
	if inner, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = inner.NetConn() // TLS
	}
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d / 2, Interval: d / 8, Count: 4})
	}
}
