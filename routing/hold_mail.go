package routing

import (
	"container/heap"
	"time"
)

// While a user gets what is stored, a replay owns the user's hold list: newer stanzas join it, and are decided when
// the last stored message has been queued. The list stays as long as an announce is expected, or another turn of the
// replay has been asked for: what such a turn is about may have come behind the look of the one that runs.

// expect makes a user's list one that waits for an announce, and then for a replay on node n unless it does for one of
// another node already.
func (hs *holds) expect(bare string, n *Node) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil {
		list = hs.begin(bare)
	}
	list.pending++
	hs.serve(list, n)
}

// announced ends what expect began. With a node, the replay is that one's.
func (hs *holds) announced(bare string, n *Node) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil || list.pending == 0 {
		return // there are no replays any more
	}
	if list.pending--; n != nil {
		hs.serve(list, n)
	}
}

// serve gives a list to the replays of a node, if it has none yet, or one that replays nothing. Called with mu held.
func (hs *holds) serve(list *holdList, n *Node) {
	if list.mail != nil && (list.mail != hs.idle || n == hs.idle) {
		return
	}
	hs.share(list, -1)
	list.mail, list.queued = n, false
	hs.share(list, +1)
}

// share adds a list to the share of the node whose replay it waits for, or takes it out. Called with mu held.
func (hs *holds) share(list *holdList, sign int) {
	if list.mail == nil {
		return
	}
	for _, h := range list.items {
		if cost := len(h.raw) + holdCost; sign > 0 {
			hs.byMail[list.mail] += cost
		} else {
			lower(hs.byMail, list.mail, cost)
		}
	}
}

// yield makes a list that the caller has claimed wait for a replay on node n, once: what is stored may have to stay. Requests in it wait
// until a time for that.
func (hs *holds) yield(bare string, n *Node, until time.Time) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list.yielded {
		return false
	}
	list.yielded = true
	hs.serve(list, n)
	for i := range list.items {
		if h := &list.items[i]; h.request && h.until.Before(until) {
			h.until = until
		}
	}
	heap.Push(&hs.order, dueAt{until, bare})
	return true
}

// turn asks for a turn of the replay that a user's list waits for, and gives its node; nil: it waits for none. first
// tells that no turn is due yet.
func (hs *holds) turn(bare string) (n *Node, first bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil || list.mail == nil || list.mail == hs.idle {
		return nil, false
	}
	list.turns++
	first = !list.queued
	list.queued = true
	return list.mail, first
}

// mailed reports whether a user's list waits for a replay.
func (hs *holds) mailed(bare []byte) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[string(bare)]
	return list != nil && list.mail != nil
}

// claimMail makes the caller, the replay of node n, the one who decides a user's list. When somebody is in the way
// that one asks for another turn.
func (hs *holds) claimMail(bare string, n *Node) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil || list.mail != n {
		return false
	}
	if list.queued = false; list.busy {
		return false
	}
	list.busy, list.seen = true, list.turns
	return true
}

// claimIdle makes the caller the owner of a user for whom nothing waits.
func (hs *holds) claimIdle(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.byUser[bare] != nil {
		return false
	}
	list := hs.begin(bare)
	list.mail, list.busy = hs.idle, true
	return true
}

// nextMail gives the first stanza of a list that the caller has claimed. When there is none the claim ends: the list is
// taken out, and stanzas for the user go their way at once, unless another turn is due.
func (hs *holds) nextMail(bare string) (h held, ok bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list.deciding = len(list.items) > 0; list.deciding {
		return list.items[0], true
	}
	if list.busy = false; list.pending == 0 && list.turns == list.seen {
		hs.end(bare)
	}
	return held{}, false
}

// overdue takes out of a list that waits for a replay the iqs that have waited long enough: they have to be answered,
// however long it takes. The first stanza stays if somebody decides it.
func (hs *holds) overdue(bare string, now time.Time) []held {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil || list.mail == nil {
		return nil
	}
	var late []held
	kept := list.items[:0]
	for i, h := range list.items {
		if !h.request || now.Before(h.until) || i == 0 && list.deciding {
			kept = append(kept, h)
			continue
		}
		late = append(late, h)
		hs.forget(list, h)
	}
	clear(list.items[len(kept):])
	list.items = kept
	return late
}

// dropMail takes the first stanza of a list that the caller has claimed out.
func (hs *holds) dropMail(bare string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	list.deciding = false
	hs.shift(list)
}

// leaveMail gives a claim up: nobody gets what is stored now. The list is an ordinary one again, unless another turn is
// due: then it reports false.
func (hs *holds) leaveMail(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	list.busy, list.deciding = false, false
	if list.pending > 0 || list.turns != list.seen {
		return false
	}
	hs.ordinary(bare, list)
	return true
}

// ordinary makes a list wait for no replay. Called with mu held.
func (hs *holds) ordinary(bare string, list *holdList) {
	hs.share(list, -1)
	list.mail, list.again, list.queued = nil, false, false
	switch {
	case len(list.items) == 0:
		hs.end(bare)
	case !list.items[0].until.After(hs.passed):
		heap.Push(&hs.order, dueAt{hs.passed, bare}) // its time has come while the replay ran
	}
}

// quit makes a list that waits for a replay that sends nothing an ordinary one, unless somebody owns it, or an announce
// is expected.
func (hs *holds) quit(bare string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if list := hs.byUser[bare]; list != nil && list.mail == hs.idle && list.pending == 0 && !list.busy {
		hs.ordinary(bare, list)
	}
}

// forgetMail makes all lists ordinary ones: there are no replays any more.
func (hs *holds) forgetMail() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for bare, list := range hs.byUser {
		if list.mail != nil {
			list.pending, list.busy, list.deciding = 0, false, false
			hs.ordinary(bare, list)
		}
	}
}

// park puts a stanza of the overflow into its user's list, before what came behind it, and whatever the limits: it was in a
// queue, which had room for it.
func (hs *holds) park(bare string, h held) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil {
		list = hs.begin(bare)
	}
	hs.push(bare, list, h)
	at := len(list.items) - 1
	for at > 0 && list.items[at-1].behind >= h.behind && (at > 1 || !list.busy) { // somebody decides the first one
		list.items[at] = list.items[at-1]
		at--
	}
	list.items[at] = h
}

// push appends to a list. Called with mu held.
func (hs *holds) push(bare string, list *holdList, h held) {
	cost := len(h.raw) + holdCost
	if list.mail != nil {
		hs.byMail[list.mail] += cost
	}
	list.items = append(list.items, h)
	heap.Push(&hs.order, dueAt{h.until, bare})
	hs.bytes += cost
	hs.byOrigin[h.origin] += cost
	hs.len.Add(1)
}
