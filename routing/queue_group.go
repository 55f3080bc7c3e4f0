package routing

import (
	"slices"

	"github.com/patchbay-im/patchbay/stanza"
)

// ungroup makes of each stanza for several users one for each, in its place: while the node is away its users may move
// to others, one by one. Called with mu held, nobody writing, without a link.
func (q *Queue) ungroup() {
	if q.groups == 0 {
		return
	}
	q.groups = 0
	var parts apart
	for _, b := range q.blocks {
		if b.b == nil || !slices.ContainsFunc(b.recs[b.next:], func(r rec) bool { return r.class == classGroup }) {
			continue
		}
		q.compact(b)
		q.ungroupOne(b, &parts)
	}
}

// ungroupOne does so in one block. It stays the same block: the disk may be about to have it.
func (q *Queue) ungroupOne(b *block, parts *apart) {
	n := newBlock(len(b.b))
	more := 0
	b.each(func(raw []byte, r rec) { more += n.add(parts, raw, r) })
	q.count.copies += uint64(more)
	q.waited(b, -more, len(b.b)-b.done-len(n.b))
	q.grew(cap(n.b) - cap(b.b))
	b.b, b.recs, n.b, n.recs = n.b, n.recs, b.b, b.recs
	n.free()
	b.off, b.done, b.next, b.parted = 0, 0, 0, b.parted || more > 0
	b.users, b.index, b.stale = nil, nil, b.kept || b.keeping
	b.turns++
}

// add appends a stanza, or the ones for each of its users, and gives how many more those are.
func (b *block) add(parts *apart, raw []byte, r rec) (more int) {
	one := func(raw []byte, r rec) {
		r.size = uint32(len(raw))
		b.b, b.recs = append(b.b, raw...), append(b.recs, r)
	}
	if r.class != classGroup {
		one(raw, r)
		return 0
	}
	all := parts.of(raw)
	r.class = classShared
	if len(all) == 0 {
		one(raw, rec{origin: r.origin, came: r.came}) // it is for the node itself, then
		return 0
	}
	for _, part := range all {
		one(part, r)
	}
	return len(all) - 1
}

// apart gives a copy of what is not proved of a block, with stanzas for several users taken apart: so the disk has them.
func (b *block) apart() *block {
	n := &block{since: b.since}
	n.late = b.late
	var parts apart
	b.eachUnproved(func(raw []byte, r rec) { n.add(&parts, raw, r) })
	return n
}

// apart takes stanzas for several users apart.
type apart struct{ sc *stanza.Scanner }

// of gives the stanza for each address that a stanza leaves open.
func (p *apart) of(raw []byte) [][]byte {
	if p.sc == nil {
		p.sc = storedScanner(stanza.Limits{Stanza: 1 << 30, Depth: 1 << 20, Tag: 1 << 30, Attrs: 1 << 20}) // it was within the limits
	}
	h := &stanza.Header{}
	if tok, _, err := p.sc.Next(raw, h); err != nil || tok != stanza.Element {
		p.sc = nil
		return nil
	}
	f := fan{h: h, full: 1 << 30}
	if f.read() != None {
		return nil
	}
	var all [][]byte
	for i := range f.list {
		if f.list[i].wanted {
			all = append(all, f.appendFor(nil, f.list[i].who.Bytes(), func(k int) bool { return k == i || !f.list[k].blind }, nobodyElse))
		}
	}
	return all
}

// nobodyElse leaves no address open.
func nobodyElse(int) bool { return false }
