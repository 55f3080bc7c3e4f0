package routing

import "github.com/patchbay-im/patchbay/stanza"

// ungroup makes of each stanza for several users one for each, in its place: while the node is away its users may move
// to others, one by one. Called with mu held, nobody writing, without a link.
func (q *Queue) ungroup() {
	if q.groups == 0 {
		return
	}
	q.groups = 0
	q.removeMoved()
	old := q.blocks
	q.blocks, q.bytes, q.letters = nil, 0, 0
	var parts apart
	for _, b := range old {
		made := len(q.blocks)
		b.each(func(raw []byte, r rec) {
			q.n-- // append counts it again
			if r.class != classGroup {
				q.append(&stanza.Header{Raw: raw}, nil, r)
				return
			}
			all := parts.of(raw)
			if len(all) == 0 {
				q.append(&stanza.Header{Raw: raw}, nil, rec{origin: r.origin}) // it is for the node itself, then
			}
			for _, one := range all {
				q.append(&stanza.Header{Raw: one}, nil, rec{origin: r.origin, class: classShared, at: r.at})
			}
			q.copies += uint64(max(0, len(all)-1))
		})
		for _, n := range q.blocks[made:] {
			n.since = b.since // they are as old as they were
		}
		b.free()
	}
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
