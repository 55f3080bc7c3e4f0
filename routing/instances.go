package routing

import (
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

// A domain whose links may be several (nodes[].instances) has a Node for each. The first of them is home, which the
// table of domains and the session table know; stanzas are spread over those that are open by rendezvous hashing of
// from and to, so that all of one pair go one way, in order, and a link that comes or goes moves only its share.

// spread is the seed of the rendezvous hash.
var spread = maphash.MakeSeed()

// pick gives the node of the domain that a stanza goes to: of those that are open the one with the highest weight for from
// and to; else of those that may come back; else home. When a link has come, those that may come back are first, until it has
// taken over what waits there. What waited for a node of the domain goes to an open one, if there is one: two that are
// away would hand it to each other for ever.
func (n *Node) pick(p place) *Node {
	all := n.instances.Load()
	if all == nil {
		return n
	}
	var h maphash.Hash
	h.SetSeed(spread)
	_, _ = h.Write(p.from)
	_ = h.WriteByte(0)
	_, _ = h.Write(p.to.Bytes())
	pair := h.Sum64()
	first := Attached
	if n.coming.Load() > 0 && (p.not == nil || p.not.home != n) {
		first = Away
	}
	best, found, weight := n, Never, uint64(0)
	for i, m := range *all {
		s := m.State()
		if s == Never || s == Past || m == p.not || found == first && s != first {
			continue
		}
		if w := mix(pair + uint64(i)*0x9e3779b97f4a7c15); found == Never || s == first && found != first || w > weight {
			best, found, weight = m, s, w
		}
	}
	return best
}

// mix spreads the bits of x (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// all gives the nodes that share n's domain.
func (n *Node) all() []*Node {
	if all := n.home.instances.Load(); all != nil {
		return *all
	}
	return []*Node{n.home}
}

// Reachable is the best state of the nodes that share n's domain.
func (n *Node) Reachable() NodeState {
	best := Never
	for _, m := range n.all() {
		best = max(best, m.State())
	}
	return best
}

// reach gives a node of n's domain that can be written to, or may come back: n itself if it can be.
func (n *Node) reach() *Node {
	if n.home.instances.Load() == nil || n.State() >= Away {
		return n
	}
	best := n
	for _, m := range n.all() {
		if m.State() > best.State() {
			best = m
		}
	}
	return best
}

// Sources gives the links that have n's domain.
func (n *Node) Sources() []*Source {
	var links []*Source
	for _, m := range n.all() {
		if src, _ := m.Source(); src != nil {
			links = append(links, src)
		}
	}
	return links
}

// Place is which of the domain's nodes the link has, from 0. Only the first can hold users.
func (s *Source) Place() int { return slices.Index(s.node.all(), s.node) }

// free makes sure that a domain has nodes for so many links, and claims one without a link for src: one whose
// stanzas wait, if there is one. It gives nil when all are taken.
func (r *Router) free(home *Node, g *Grant, src *Source) *Node {
	r.allow(home, g.Instances)
	all := home.all()
	for _, away := range []bool{true, false} {
		for i, m := range all {
			if (m.State() == Away) == away && i < max(1, g.Instances) && m.claim(src) {
				return m
			}
		}
	}
	return nil
}

// allow makes nodes for so many links of a domain.
func (r *Router) allow(home *Node, links int) {
	number := home.queue.last() // what was on disk at the start is the first one's, under whatever name
	home.mu.Lock()
	defer home.mu.Unlock()
	have := []*Node{home}
	if all := home.instances.Load(); all != nil {
		have = *all
	}
	if len(have) >= links {
		return
	}
	grown := append([]*Node(nil), have...)
	for len(grown) < links {
		m := r.newNode(home.Domain)
		m.home = home
		m.queue.target, m.queue.number = fmt.Sprint(home.Domain, instanceMark, len(grown)), number
		m.id.Store(home.id.Load())
		grown = append(grown, m)
	}
	home.instances.Store(&grown)
}

// claim gives the node to a link, if it has none. While the node's grace is being ended it waits for that.
func (n *Node) claim(src *Source) bool {
	n.mu.Lock()
	for expiring := n.expiring; expiring != nil; expiring = n.expiring {
		n.wanted.Store(true)
		n.mu.Unlock()
		<-expiring
		n.mu.Lock()
	}
	defer n.mu.Unlock()
	if n.src != nil {
		return false
	}
	n.src, n.left = src, make(chan struct{})
	n.stopTimer()
	n.wanted.Store(false)
	src.node = n
	return true
}

// unclaim takes the node from a link that never started.
func (n *Node) unclaim() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.src = nil
	close(n.left)
}

// opened counts a link of n's domain, and closed takes it from the count: it reports whether another is left, which
// can take what waits for n.
func (n *Node) opened() {
	n.home.mu.Lock()
	defer n.home.mu.Unlock()
	n.home.links++
}

func (n *Node) closed() (others bool) {
	n.home.coming.Add(-1)
	n.home.mu.Lock()
	defer n.home.mu.Unlock()
	n.home.links--
	return n.home.links > 0
}

// alone reports whether no link of n's domain has started.
func (n *Node) alone() bool {
	n.home.mu.Lock()
	defer n.home.mu.Unlock()
	return n.home.links == 0
}

// handOver brings what waits for a node without a link to the others of its domain. Until nothing waits, newer
// stanzas join the tail; only then the node is out of the choice. So order holds.
func (r *Router) handOver(n *Node) {
	r.takeBack(n)
	for {
		again := newRedo(r)
		again.not = n
		b, err := r.unpack(n.queue, func() (*block, error) {
			return n.queue.takeOrClose(func() { n.setState(r, Past) })
		}, func(k *taking, s waitingStanza) {
			again.of = k
			again.once(s)
			again.flush()
		})
		again.close()
		switch {
		case err != nil && !r.later():
			return // what is left is on disk
		case err == nil && b == nil:
			n.queue.settle()
			return
		}
	}
}

// gather brings what waits for nodes of n's domain whose links have gone to n, which has just got one. Until nothing waits any
// more, newer stanzas go behind it (pick).
func (r *Router) gather(n *Node) {
	for _, m := range n.all() {
		if m != n && m.State() == Away {
			r.relieve(m)
		}
	}
}

// relieve brings what waits for a node whose link has gone to the others of its domain, which have links.
func (r *Router) relieve(n *Node) {
	rec, _ := r.sessions.Node(n.ID())
	r.sessions.SetNodeState(n.ID(), rec.Inc, n.standing(), time.Time{}) // the last link may have left it away
	n.mu.Lock()
	if n.src != nil || n.expiring != nil {
		n.mu.Unlock()
		return // its own link takes what waits, or somebody else brings it
	}
	n.stopTimer()
	done := make(chan struct{})
	n.expiring = done // nobody attaches, or does the same, meanwhile
	n.mu.Unlock()
	r.handOver(n)
	n.mu.Lock()
	n.expiring = nil
	n.mu.Unlock()
	close(done)
}

// current gives the incarnation that the session table has of a link's node: where several links share a domain,
// that of the last one that attached.
func (s *Source) current() uint64 {
	if s.node.home.instances.Load() != nil {
		if rec, ok := s.r.sessions.Node(s.node.ID()); ok {
			return rec.Inc
		}
	}
	return s.inc
}
