package component

import (
	"context"
	"time"

	"mellium.im/xmpp/stanza"
)

const (
	silentPing = 60 * time.Second // a connection that gave nothing for so long is asked for a sign of life
	silentDead = 90 * time.Second // and is given up after so long
)

// watch gives up a connection on which nothing arrives although a sign of life was asked for: an <r/>, or on a plain link
// a ping to the node itself, which every XEP-0114 server sends back. While the inbox is full nobody reads, so the clock
// stands still.
func (n *Node) watch(l *link) {
	tick := time.NewTicker(silentPing / 4)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for asked := false; ; {
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
		c, _ := l.carrying()
		if c == nil {
			asked = false
			continue
		}
		quiet := c.conn.silence()
		switch {
		case n.inbox.full() || quiet < silentPing:
			asked = false
		case quiet >= silentDead && asked:
			n.cfg.Log.WithField("reason", "silent").Warn("give up a connection that gives no sign of life")
			c.conn.Close()
			asked = false
		case !asked && l.acks != nil:
			asked = true
			l.demand()
		case !asked:
			asked = true
			n.pingSelf(ctx, l)
		}
	}
}

// pingSelf sends a ping to the node's own domain. The write must not hold watch up: a peer that does not read would.
func (n *Node) pingSelf(ctx context.Context, l *link) {
	ctx, cancel := context.WithTimeout(ctx, silentPing/4)
	defer cancel()
	iq := stanza.IQ{Type: stanza.GetIQ, To: n.domain, From: n.domain, ID: NewID()}
	raw, err := encodeStanza(iq.Wrap(empty(nsPing, "ping")), "", n.cfg.MaxStanza)
	if err == nil {
		err = l.write(ctx, raw)
	}
	if err != nil {
		n.cfg.Log.WithField("reason", err).Debug("ask for a sign of life")
	}
}
