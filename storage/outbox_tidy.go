package storage

import "time"

// tidy moves what is alive in a segment that is mostly dead to the current one, and removes it; false if there is none, or no room.
// A segment gets small by itself when its blocks are deleted in order; this is for blocks of many targets, of which some stay.
func (c *outboxCommitter) tidy() bool {
	g := c.files.worst(c.o.room.left() < 0)
	if g == nil {
		return false
	}
	c.entries = c.entries[:0]
	for _, p := range c.alive(g) {
		value, err := c.o.read(p.spot)
		if err != nil { // who asks for it will be told
			g.stuck = true
			return true
		}
		c.entries = append(c.entries, entry{p.b, value})
	}
	moved := append([]entry(nil), c.entries...)
	if err := c.write(); err != nil {
		if !isNoSpace(err) {
			c.fail(err)
		}
		return false
	}
	c.o.mu.Lock()
	for i, e := range moved {
		e.b.seg, e.b.at = c.files.wrote[i].seg, c.files.wrote[i].at
	}
	c.o.mu.Unlock()
	if err := c.files.remove(g); err != nil {
		c.fail(err)
		return false
	}
	c.o.files.Store(c.files.bytes)
	return true
}

// livingBlock is a block and where it is.
type livingBlock struct {
	b *block
	spot
}

// alive gives the blocks of a segment that nobody has deleted.
func (c *outboxCommitter) alive(g *segment) (all []livingBlock) {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	for _, b := range g.blocks {
		if !b.dead && b.seg == g {
			all = append(all, livingBlock{b, b.spot()})
		}
	}
	return all
}

// worst gives the segment with the least alive: less than half, or if the disk is short of room, than seven eighths. Others cost more to
// move than they give; and those of which something was deleted lately are likely to be empty soon.
func (s *segments) worst(short bool) (worst *segment) {
	s.resting = false
	for _, g := range s.all {
		if g == s.cur || g.stuck || short && g.live > g.size/8*7 || !short && g.live > g.size/2 {
			continue
		}
		if time.Since(g.marked) < s.knobs.rest {
			s.resting = true
			continue
		}
		if worst == nil || g.live*worst.size < worst.live*g.size {
			worst = g
		}
	}
	return worst
}
