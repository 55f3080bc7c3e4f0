package admin

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
)

// How many connections one listener holds at one time, together and from one address. Each costs a descriptor, of which
// nodes need theirs.
const (
	mostConns     = 512
	mostConnsEach = 64
)

// capped is a listener that bounds its connections. Where there is no room, the one that has waited longest for a request
// goes: whoever opens many and asks nothing, or never ends asking, keeps nobody else out. One that comes while all are
// being answered is closed at once.
type capped struct {
	net.Listener

	mu      sync.Mutex
	all     int                // guarded by mu
	each    map[netip.Addr]int // guarded by mu; one entry an address that has a connection
	waiting *list.List         // guarded by mu; each *counted on which no request is being answered, the longest first
}

func newCapped(ln net.Listener) *capped {
	return &capped{Listener: ln, each: map[netip.Addr]int{}, waiting: list.New()}
}

// Accept gives the next connection for which there is room.
func (c *capped) Accept() (net.Conn, error) {
	for {
		nc, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		in := &counted{Conn: nc, at: c, from: household(peer(nc.RemoteAddr().String()))}
		out, ok := c.enter(in)
		if out != nil {
			_ = out.Conn.Close()
		}
		if ok {
			return in, nil
		}
		_ = nc.Close()
	}
}

// enter takes a connection in, and gives the one that has to make room for it.
func (c *capped) enter(in *counted) (out *counted, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	crowded := c.each[in.from] >= mostConnsEach
	if crowded || c.all >= mostConns {
		if out = c.longest(in.from, crowded); out == nil {
			return nil, false
		}
		c.remove(out)
	}
	c.all++
	c.each[in.from]++
	in.place = c.waiting.PushBack(in)
	return out, true
}

// longest gives the connection that has waited longest for a request, of one address or of all; nil if there is none.
// Called with mu held.
func (c *capped) longest(from netip.Addr, alone bool) *counted {
	for e := c.waiting.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*counted); !alone || w.from == from {
			return w
		}
	}
	return nil
}

// remove gives the place of a connection back, once. Called with mu held.
func (c *capped) remove(w *counted) {
	if w.gone {
		return
	}
	w.gone = true
	if w.place != nil {
		c.waiting.Remove(w.place)
		w.place = nil
	}
	c.all--
	if c.each[w.from]--; c.each[w.from] == 0 {
		delete(c.each, w.from)
	}
}

// counted is a connection that has a place.
type counted struct {
	net.Conn
	at   *capped    // set once
	from netip.Addr // set once

	place *list.Element // guarded by at.mu; nil: a request on it is being answered, or it is gone
	gone  bool          // guarded by at.mu; it has given its place back
}

// Close closes the connection and gives its place back.
func (w *counted) Close() error {
	w.at.mu.Lock()
	w.at.remove(w)
	w.at.mu.Unlock()
	return w.Conn.Close()
}

// answering tells that a request has come whole, and waits gives the connection back to those that wait for one.
func (w *counted) answering() (waits func()) {
	w.at.mu.Lock()
	defer w.at.mu.Unlock()
	if w.place != nil {
		w.at.waiting.Remove(w.place)
		w.place = nil
	}
	return func() {
		w.at.mu.Lock()
		defer w.at.mu.Unlock()
		if !w.gone {
			w.place = w.at.waiting.PushBack(w)
		}
	}
}

// connOf is where the context of a request has its connection.
type connOf struct{}

// withConn is for http.Server.ConnContext.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connOf{}, nc)
}

// answering marks the connection of a request as busy until done is called.
func answering(ctx context.Context) (done func()) {
	if w, ok := ctx.Value(connOf{}).(*counted); ok {
		return w.answering()
	}
	return func() {}
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
