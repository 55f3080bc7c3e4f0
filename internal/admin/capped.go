package admin

import (
	"net"
	"net/netip"
	"sync"
)

// How many connections one listener holds at one time, together and from one address. Each costs a descriptor, of which
// nodes need theirs: beyond that a connection is closed as it comes.
const (
	mostConns     = 512
	mostConnsEach = 64
)

// capped is a listener that bounds its connections.
type capped struct {
	net.Listener

	mu   sync.Mutex
	all  int                // guarded by mu
	each map[netip.Addr]int // guarded by mu; one entry an address that has a connection
}

func newCapped(ln net.Listener) *capped {
	return &capped{Listener: ln, each: map[netip.Addr]int{}}
}

// Accept gives the next connection for which there is room.
func (c *capped) Accept() (net.Conn, error) {
	for {
		nc, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := household(peer(nc.RemoteAddr().String()))
		if c.enter(from) {
			return &counted{Conn: nc, leave: sync.OnceFunc(func() { c.leave(from) })}, nil
		}
		_ = nc.Close()
	}
}

func (c *capped) enter(from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= mostConns || c.each[from] >= mostConnsEach {
		return false
	}
	c.all++
	c.each[from]++
	return true
}

func (c *capped) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.each[from]--; c.each[from] == 0 {
		delete(c.each, from)
	}
}

// counted is a connection that gives its place back.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// peer is the address of a "host:port"; the zero Addr if there is none.
func peer(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return unmapped(ap).Addr()
}

// household is what counts as one address: of IPv6 the /64, of which one machine has all.
func household(a netip.Addr) netip.Addr {
	if a.Is4() || !a.IsValid() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
