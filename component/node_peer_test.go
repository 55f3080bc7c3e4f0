package component

import (
	"net"
	"time"
)

// PeerSecret is what a Peer wants to hear.
const PeerSecret = fakeSecret

// Peer is the router's end of a link over loopback, for the examples: they run against what a script says.
type Peer struct{ l *fakeLink }

// Said is a stanza of the node.
type Said struct {
	Name, From, To, ID, Inner string
	stanza                    fakeStanza
}

// ListenPeer takes one node. done is closed when script has returned.
func ListenPeer(script func(*Peer)) (addr string, done <-chan struct{}) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	f, end := newFakeServer(), make(chan struct{})
	go func() {
		defer close(end)
		conn, err := ln.Accept()
		ln.Close()
		if err != nil {
			return
		}
		l := &fakeLink{conn: conn, got: make(chan fakeStanza, 64)}
		go l.serve(f)
		select {
		case <-f.links:
			script(&Peer{l})
		case <-time.After(10 * time.Second):
		}
	}()
	return ln.Addr().String(), end
}

// Next gives what the node says next; nothing if it has left.
func (p *Peer) Next() Said {
	select {
	case s := <-p.l.got:
		return Said{Name: s.start.Name.Local, From: s.attr("from"), To: s.attr("to"), ID: s.attr("id"), Inner: s.inner, stanza: s}
	case <-time.After(10 * time.Second):
		return Said{}
	}
}

// Accept answers an iq with a result.
func (p *Peer) Accept(s Said) { p.l.accept(s.stanza, "") }

// Say sends raw XML to the node.
func (p *Peer) Say(raw string) { p.l.write(raw) }
