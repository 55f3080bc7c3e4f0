package routing

import "time"

// countsEach is how often the counts of links that may be resumed are kept on disk, if they have changed: a lower one is honest.
const countsEach = time.Second

// keepCounts has the disk keep what has changed. Called by housekeeping, and behind it.
func (r *Router) keepCounts() {
	if r.cfg.Counts == nil {
		return
	}
	for _, n := range r.Nodes() {
		c := n.custody.Load()
		if c == nil || c.id == "" {
			continue
		}
		if h := c.counted.Load(); h != c.kept {
			c.kept = h
			r.cfg.Counts.SetHandled(n.Domain, c.id, uint32(h))
		}
	}
}

// countAll counts all that was read: the router has been emptied, and nothing is in memory only.
func (r *Router) countAll() {
	for _, n := range r.Nodes() {
		c := n.custody.Load()
		if c == nil {
			continue
		}
		c.mu.Lock()
		c.counted.Store(c.read)
		c.open = nil
		c.mu.Unlock()
	}
	r.keepCounts()
}

// countOf gives how much of what a node sent on a link is in custody, if that is known: the node's last one, in this life of the
// server or the one before.
func (r *Router) countOf(n *Node, id string) (h uint32, known bool) {
	if c := n.custody.Load(); c != nil && id != "" {
		if c.id == id {
			return uint32(c.counted.Load()), true
		}
	}
	if r.cfg.Counts == nil || id == "" {
		return 0, false
	}
	last, h, ok := r.cfg.Counts.Handled(n.Domain)
	if !ok || last != id {
		return 0, false
	}
	return h, true
}
