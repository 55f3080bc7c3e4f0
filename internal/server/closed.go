package server

import (
	"crypto/tls"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/stanza"
)

// The words of LinkInfo.State.
const (
	LinkHandshake = "handshake" // not yet authenticated
	LinkAttached  = "attached"
	LinkEnded     = "ended"   // by its peer, or by the server after it was attached
	LinkRefused   = "refused" // by the server, before it was attached
)

// The words of LinkInfo.Reason besides the conditions of RFC 6120 4.9.3.
const (
	EndClosed  = "closed"  // the peer closed its stream in orderly fashion (RFC 6120 4.4)
	EndDropped = "dropped" // the connection ended without that
	EndStopped = "stopped" // the server stopped while the connection opened
	EndTLS     = "tls"     // the TLS handshake failed
)

// LinkInfo is a link as it is, or as it was when it ended.
type LinkInfo struct {
	ID     uint64 // the link's number; 0: it was never attached
	Node   string // the domain that the peer asked for, "" if it asked for none
	Peer   string // host:port
	TLS    bool
	Secure string    // the version of TLS, as "TLS 1.3"; "" while there is none
	Modern bool      // the stream is a modern one: SASL, and counts of stanzas (XEP-0198)
	Auth   string    // how the domain was proved: "handshake" (XEP-0114 3), "SCRAM-SHA-256" or "EXTERNAL"; "" if it was not
	State  string    // LinkHandshake, LinkAttached, LinkEnded or LinkRefused
	Grade  string    // what is known of delivery, or was at its end (routing.Grade); "" if it was never attached
	Since  time.Time // accepted; with a Count over 1: the first of them
	Ended  time.Time // zero: it is open; with a Count over 1: the last of them
	In     uint64    // stanzas read
	Reason string    // a condition of RFC 6120 4.9.3, or EndClosed, EndDropped, EndStopped, EndTLS; of a failed proof, one of 6.5
	Text   string    // cause and mend, as the peer was told
	Mend   string    // what who runs the server can do; the peer is not told
	Count  uint64    // connections that ended like this: more than one only if they were never attached
}

// Handshakes counts connections by how they began, since the start.
type Handshakes struct {
	OK      uint64 // attached
	Refused uint64 // by the server, told so or not
	Left    uint64 // the peer left first
}

// maxClosed bounds the memory of links that have ended.
const maxClosed = 200

// closedLinks remembers the last links that ended or were refused, and counts them.
//
// Who keeps attaching in vain must not push out what else happened: connections that were never attached are one entry
// for each address, name and reason; and when there is no room, the oldest entry goes of the address or node that has
// the most of them, among those never attached if these hold more than half.
type closedLinks struct {
	// counters
	ok, refused, left atomic.Uint64
	errors            [len(streamConditions)]atomic.Uint64

	// guarded by mu
	mu  sync.Mutex
	all []closedLink // in the order in which they ended
}

type closedLink struct {
	LinkInfo
	host netip.Addr // as it counts, see stream.HostOf
}

// owner is whose entry it is, when there is no room for all.
type owner struct {
	host netip.Addr // of a connection that was never attached
	node string     // of one that was
}

func (c *closedLink) owner() owner {
	if c.ID == 0 {
		return owner{host: c.host}
	}
	return owner{node: c.Node}
}

// add writes an end down.
func (c *closedLinks) add(e closedLink) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.ID == 0 {
		if i := slices.IndexFunc(c.all, e.like); i >= 0 {
			e.Count += c.all[i].Count
			e.Since = c.all[i].Since
			c.all = slices.Delete(c.all, i, i+1)
		}
	}
	if len(c.all) == maxClosed {
		i := c.victim()
		c.all = slices.Delete(c.all, i, i+1)
	}
	c.all = append(c.all, e)
}

// like reports whether two ends are one entry.
func (c *closedLink) like(o closedLink) bool {
	return o.ID == c.ID && o.host == c.host && o.Node == c.Node && o.Reason == c.Reason
}

// victim gives the entry that goes when there is no room. Called with mu held.
func (c *closedLinks) victim() int {
	strangers := 0
	has := map[owner]int{}
	for i := range c.all {
		has[c.all[i].owner()]++
		if c.all[i].ID == 0 {
			strangers++
		}
	}
	best, most := 0, 0
	for i := range c.all {
		e := &c.all[i]
		if n := has[e.owner()]; n > most && (e.ID == 0) == (strangers > maxClosed/2) {
			best, most = i, n
		}
	}
	return best
}

// list gives the entries, newest first.
func (c *closedLinks) list() []LinkInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	links := make([]LinkInfo, 0, len(c.all))
	for i := len(c.all) - 1; i >= 0; i-- {
		links = append(links, c.all[i].LinkInfo)
	}
	return links
}

// streamConditions are those of RFC 6120 4.9.3: no other ends a stream.
var streamConditions = [...]string{
	"bad-format", "bad-namespace-prefix", "conflict", "connection-timeout", "host-gone", "host-unknown",
	"improper-addressing", "internal-server-error", "invalid-from", "invalid-namespace", "invalid-xml", "not-authorized",
	"not-well-formed", "policy-violation", "remote-connection-failed", "reset", "resource-constraint", "restricted-xml",
	"see-other-host", "system-shutdown", "undefined-condition", "unsupported-encoding", "unsupported-feature",
	"unsupported-stanza-type", "unsupported-version",
}

// told counts a stream error.
func (c *closedLinks) told(e *stanza.StreamError) {
	i := slices.Index(streamConditions[:], e.Condition)
	if i < 0 {
		i = slices.Index(streamConditions[:], "undefined-condition")
	}
	c.errors[i].Add(1)
}

// Links gives the links that are open, also those that are not yet authenticated, newest first. What waits at the gate
// or is in its TLS handshake is none yet.
func (s *Server) Links() []LinkInfo {
	var open []LinkInfo
	for _, l := range s.openLinks() {
		if info, over := l.info(); !over {
			open = append(open, info)
		}
	}
	slices.SortFunc(open, func(a, b LinkInfo) int { return b.Since.Compare(a.Since) })
	return open
}

// openLinks gives the links, in no order.
func (s *Server) openLinks() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.links))
}

// Closed gives the last 200 links that ended or were refused, newest first. Connections that were never attached are
// one entry for each peer's address, name and reason, with their Count.
func (s *Server) Closed() []LinkInfo { return s.closed.list() }

// StreamErrors counts the stream errors by which the server ended links, since the start, by condition: all of RFC 6120
// 4.9.3, also those that never happened.
func (s *Server) StreamErrors() map[string]uint64 {
	counts := make(map[string]uint64, len(streamConditions))
	for i, condition := range streamConditions {
		counts[condition] = s.closed.errors[i].Load()
	}
	return counts
}

// Handshakes counts how connections began, since the start.
func (s *Server) Handshakes() Handshakes {
	return Handshakes{OK: s.closed.ok.Load(), Refused: s.closed.refused.Load(), Left: s.closed.left.Load()}
}

// info describes the link. over: it has ended, and is only being closed.
func (l *link) info() (info LinkInfo, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	info = LinkInfo{Node: l.asked, Peer: l.addr.String(), TLS: !l.plain, Modern: l.modern, Auth: l.method, State: LinkHandshake, Since: l.since, Count: 1}
	if l.tls != 0 {
		info.Secure = tls.VersionName(l.tls)
	}
	if l.src != nil {
		info.ID, info.Node, info.In = l.src.ID, l.src.Node().Domain, l.src.Stanzas()
		info.State, info.Grade = LinkAttached, l.src.Grade().String()
		if l.closing {
			info.Grade = l.grade.String()
		}
	}
	return info, l.over
}

// ending is the entry of an end.
func (l *link) ending(state, reason, text, mend string) closedLink {
	e := closedLink{host: stream.HostOf(l.addr.Addr())}
	e.LinkInfo, _ = l.info()
	e.State, e.Reason, e.Text, e.Mend, e.Ended = state, reason, text, mend, time.Now()
	return e
}

// note writes down how the link ended, before its peer can know: text for both ends, mend for this one.
func (l *link) note(state, reason, text, mend string) {
	e := l.ending(state, reason, text, mend)
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.s.closed.add(e)
	switch {
	case state == LinkRefused:
		l.s.closed.refused.Add(1)
		if l.s.ctx.Err() == nil { // a stop says so once, not for each stream that it cuts short
			l.s.refusals.tell(e)
		}
	case e.ID == 0:
		l.s.closed.left.Add(1)
	}
}
