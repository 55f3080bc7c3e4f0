package soak

import (
	"fmt"
	"slices"
)

// mayWait reports whether a message to an address may be in the offline store.
type mayWait func(to string) bool

// lacks gives a stanza that must have come or been answered by now, and how many there are; waiting counts those that may be
// stored for users without a session.
func (b *book) lacks(kills int, stored mayWait) (missing, waiting int, first string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		for at := l.open; at < len(l.fates); at++ {
			f := l.fates[at]
			switch {
			case l.ends(at) || !b.sure(l, f, kills):
			case (l.kind == "message" || l.kind == "group") && stored(l.to):
				waiting++
			default:
				if missing++; first == "" {
					first = fmt.Sprintf("%s %d of %s to %s (written on link %d after %d kills, accepted %d, kept %v)",
						l.kind, at, names[l.from], l.to, f.link, f.kills, f.accepted, f.kept)
				}
			}
		}
	}
	return missing, waiting, first
}

// untell gives up what must have come or been answered by now, if it is no more than the answers that found no room: the disk was full,
// and so was the queue of their sender.
func (b *book) untell(most, kills int, stored mayWait) {
	if n, _, _ := b.lacks(kills, stored); n > most {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		for at := l.open; at < len(l.fates); at++ {
			if f := l.fates[at]; !l.ends(at) && b.sure(l, f, kills) && !stored(l.to) {
				f.deaf = true
			}
		}
	}
}

// ends reports whether a stanza has an end, or needs none: presence is replaced by newer presence, and who asks again on
// another link waits for the answer on that.
func (l *lane) ends(at int) bool {
	f := l.fates[at]
	switch {
	case f.ended():
		return true
	case l.kind == "presence":
		return at < len(l.fates)-1
	}
	return false
}

// settle closes the account of what was sent until now: all is quiet. What is not sure and never came is given up. Something newer may
// have come: of what waits for a node that is slow, memory has the head and the disk the tail, and a kill leaves the tail (protocol 3). Where
// nothing spills, no newer one of the same link and life may have come: what a server has read it has read in order.
func (b *book) settle(kills int, stored mayWait) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		lost := -1
		for at := l.open; at < len(l.fates); at++ {
			f := l.fates[at]
			f.rests = f.rests || f.ended() && !(stored(l.to) && l.kind != "presence") // what came may be stored too: not proved, it was decided again
			switch {
			case l.ends(at):
				if lost >= 0 && l.fates[lost].link == f.link && l.fates[lost].kills == f.kills && (l.from != acked || l.fates[lost].era == f.era) && !b.spills && l.ordered() {
					b.fault("message %d of %s to %s is lost, and %d is not", lost, names[l.from], l.to, at)
				}
			case f.given:
			case !b.sure(l, f, kills):
				f.given = true
				b.sums.unsure++
				lost = at
			default: // it is stored, and was committed before it was quiet
				f.kept = true
			}
		}
		if !stored(l.to) || l.kind == "presence" || l.kind == "ask" {
			l.open = len(l.fates)
		}
	}
}

// ordered reports whether what a lane lost in a crash is the end of what it sent: all of it goes to one queue.
func (l *lane) ordered() bool {
	return l.kind == "message" && slices.Contains(targets[:len(names)], l.to)
}

// take gives what is wrong, once.
func (b *book) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.behind {
		if !d.f.anew {
			b.fault("%s", d.what)
		}
	}
	found := b.faults
	b.faults, b.behind = nil, nil
	return found
}
