package metrics

import (
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/routing"
)

// The bounds of the label node.
const (
	maxNodes     = 1000               // that have series of their own
	othersName   = "(others)"         // under which all others are summed; no domain has such a name
	rememberedAs = 7 * 24 * time.Hour // a node that is gone for longer has no series, unless the configuration names it
)

// node is the values under one label node: one node, or the sum of several.
type node struct {
	name                         string
	states, grades               map[string]int
	links, linksMax, sessions    int
	in, out, lost                uint64
	queue, queueBytes, queueMax  uint64
	unproved, unprovedBytes      uint64
	window                       uint64
	outbox, outboxBytes          uint64
	outboxMax                    uint64 // 0: there are none
	oldest                       time.Duration
	changed                      time.Time // zero for a sum
	confirming, multicast, nodes int
	spilling                     int
}

// fact is what is known of one node at a scrape.
type fact struct {
	routing.NodeFacts
	lost      uint64
	grades    map[string]int
	outboxMax uint64 // bytes that may wait on disk; 0: there are no outboxes
	listed    bool   // by the configuration, with an exact entry
}

// add takes one node into the sum.
func (n *node) add(f *fact) {
	n.nodes++
	n.states[f.Word()]++
	for grade, links := range f.grades {
		n.grades[grade] += links
	}
	n.links, n.linksMax, n.sessions = n.links+f.Links, n.linksMax+f.LinksMax, n.sessions+f.Sessions
	n.in, n.out, n.lost = n.in+f.In, n.out+f.Out, n.lost+f.lost
	n.queue, n.queueBytes, n.queueMax = n.queue+f.Queue, n.queueBytes+f.QueueBytes, n.queueMax+f.QueueMax
	n.unproved, n.unprovedBytes, n.window = n.unproved+f.Unproved, n.unprovedBytes+f.UnprovedBytes, n.window+f.Window
	n.outbox, n.outboxBytes, n.outboxMax = n.outbox+f.OutboxStanzas, n.outboxBytes+f.OutboxBytes, n.outboxMax+f.outboxMax
	n.spilling += count(f.Spilling)
	n.oldest = max(n.oldest, f.Oldest)
	n.confirming, n.multicast = n.confirming+count(f.Confirming), n.multicast+count(f.Multicast)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// roll remembers which nodes have series of their own. A node keeps them for as long as it is known, and one that got
// none stays among the others: were it to move, the counters of others would go down, which Prometheus takes for a
// restart.
type roll struct {
	most int // set once

	mu    sync.Mutex
	alone map[string]bool // guarded by mu: of each node that was ever shown, whether it has its own series
	taken int             // guarded by mu: those that have
}

func newRoll() *roll { return &roll{most: maxNodes, alone: map[string]bool{}} }

// call sorts the nodes of a scrape. others is last, if there are any.
func (r *roll) call(facts []fact, now time.Time) []node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var nodes []node
	others := node{name: othersName, states: map[string]int{}, grades: map[string]int{}}
	for i := range facts {
		f := &facts[i]
		if !r.shown(f, now) {
			continue
		}
		if !r.alone[f.Domain] {
			others.add(f)
			continue
		}
		n := node{name: f.Domain, states: map[string]int{}, grades: map[string]int{}, changed: f.Since}
		n.add(f)
		nodes = append(nodes, n)
	}
	if others.nodes > 0 {
		nodes = append(nodes, others)
	}
	return nodes
}

// shown reports whether a node is in the scrape at all, and settles under which label. Called with mu held.
func (r *roll) shown(f *fact, now time.Time) bool {
	alone, seen := r.alone[f.Domain]
	known := f.listed || f.State >= routing.Away || f.State == routing.Past && now.Sub(f.Since) < rememberedAs
	switch {
	case seen && (!alone || known):
		return true
	case seen:
		delete(r.alone, f.Domain)
		r.taken--
		return false
	case !known:
		return false
	}
	alone = r.taken < r.most
	r.alone[f.Domain] = alone
	r.taken += count(alone)
	return true
}
