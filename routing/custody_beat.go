package routing

import "slices"

// custodian is the part of the beat that looks after custody: it alone says what counts. It holds no two locks: first it gathers
// what links wait for, then it looks at each of those queues once, then it tells the links.
type custodian struct {
	// set once
	r *Router

	// owned by the beat
	turn   uint64
	links  []*custody
	queues []*Queue    // in which something is open
	lost   []*snapshot // of which nobody knows where they are
	early  []spot      // that are not safe after all that time
}

// watch makes the beat look after a link's custody.
func (t *beat) watch(c *custody) {
	t.mu.Lock()
	t.links = append(t.links, c)
	t.mu.Unlock()
	t.rouse()
}

// takeLinks appends the links that are new.
func (t *beat) takeLinks(links []*custody) []*custody {
	t.mu.Lock()
	defer t.mu.Unlock()
	links = append(links, t.links...)
	clear(t.links)
	t.links = t.links[:0]
	return links
}

// tick counts what is safe by now, and reports whether anything is left to be looked after.
func (k *custodian) tick() bool {
	k.links = k.r.beat.takeLinks(k.links)
	if len(k.links) == 0 {
		return false
	}
	now := k.r.env.mono()
	k.turn++
	for _, c := range k.links {
		if c.due(k.turn) {
			c.looked = k.turn
			k.gather(c, now)
		}
	}
	for i, s := range k.lost {
		k.find(s)
		k.lost[i] = nil
	}
	for i, q := range k.queues {
		q.look(k.turn)
		k.queues[i] = nil
	}
	k.lost, k.queues = k.lost[:0], k.queues[:0]
	k.links = slices.DeleteFunc(k.links, func(c *custody) bool { return c.looked == k.turn && !k.weigh(c, now) })
	for i, p := range k.early {
		p.q.commitEarly(p.n)
		k.early[i] = spot{}
	}
	k.early = k.early[:0]
	return len(k.links) > 0
}

// due reports whether the beat is to look at a link in this turn: at each second one will do where nobody waits.
func (c *custody) due(turn uint64) bool {
	return !c.counts || turn-c.looked > 1 || c.wanted.Load() > c.counted.Load()
}

// gather takes a link's next snapshot if it is time, and notes what its open ones wait for.
func (k *custodian) gather(c *custody, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flushes) > 0 || c.counts && c.read > c.covered && now-c.last >= int64(snapshotEach) {
		if c.feeding {
			c.asked = true
		} else {
			c.snap(false)
		}
	}
	for _, s := range c.open {
		s.arrive(k.r)
		if s.lost && len(s.held) == 0 {
			s.of = c.node.ID()
			k.lost = append(k.lost, s)
		}
		k.add(s.places)
	}
}

// add notes the queues of places.
func (k *custodian) add(places []spot) {
	for _, p := range places {
		if p.q.custody.turn != k.turn {
			p.q.custody.turn = k.turn
			k.queues = append(k.queues, p.q)
		}
	}
}

// arrive takes over where stanzas went that were held, once none of them is.
func (s *snapshot) arrive(r *Router) {
	s.held = slices.DeleteFunc(s.held, func(m *waitroom) bool {
		if m.count.Load() > 0 {
			return false
		}
		s.places = append(s.places, m.places...) // nobody adds to it any more
		if m.stored {
			s.puts, _ = r.cfg.Offline.Puts()
		}
		return true
	})
}

// find makes a snapshot of stanzas that were moved one of all that its node has in any queue, if nothing is on its way at this moment. What
// was held in memory has gone on.
func (k *custodian) find(s *snapshot) {
	r := k.r
	begun := r.moves.begun.Load()
	if r.moves.ended.Load() != begun || r.strayed.count.Load() > 0 || s.before != nil && r.holds.ofNode(s.before) {
		return
	}
	s.places = s.places[:0]
	for _, q := range r.queues() {
		if at, some := q.standing(s.of); some {
			s.places = append(s.places, at)
		}
	}
	if r.moves.begun.Load() != begun {
		return
	}
	if r.cfg.Offline != nil {
		s.puts, _ = r.cfg.Offline.Puts()
	}
	s.lost, s.before = false, nil
	k.add(s.places)
}

// weigh tells a link what counts now, and reports whether more is to be looked after.
func (k *custodian) weigh(c *custody, now int64) (stays bool) {
	c.mu.Lock()
	for _, s := range c.open {
		s.prune(k.turn)
		if now-s.at >= int64(earlyAfter) && !s.lost {
			k.early = append(k.early, s.places...)
		}
	}
	was := c.counted.Load()
	done := c.pop()
	h, told := c.counted.Load(), c.told
	stays = c.matters() && !(c.ended && now-c.last > int64(lingers))
	c.armed = stays
	c.mu.Unlock()
	if h > was && told != nil {
		told(h)
	}
	for _, f := range done {
		f()
	}
	return stays
}

// prune takes the places out that are safe. One from which stanzas strayed makes the snapshot lost.
func (s *snapshot) prune(turn uint64) {
	s.places = slices.DeleteFunc(s.places, func(p spot) bool {
		look := &p.q.custody
		if look.looked != turn {
			return false // it was noted after the look
		}
		s.lost = s.lost || look.strayed != p.strays
		return look.upTo >= p.n
	})
}

// safe reports whether all of a snapshot is.
func (s *snapshot) safe(r *Router) bool {
	if s.lost || len(s.held)+len(s.places) > 0 {
		return false
	}
	if s.puts == 0 {
		return true
	}
	_, kept := r.cfg.Offline.Puts()
	return kept >= s.puts
}

// ofNode reports whether anything of a node is held.
func (hs *holds) ofNode(n *Node) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.byOrigin[n] > 0
}
