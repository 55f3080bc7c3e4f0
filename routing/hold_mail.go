package routing

// While a user gets what is stored, a replay owns the user's hold list: newer stanzas join it, and are decided when
// the last stored message has been queued.

// expect makes a user's list one that waits for a replay on node n, unless it does for one already.
func (hs *holds) expect(bare string, n *Node) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil {
		list = hs.begin(bare)
	}
	if list.mail != nil {
		return
	}
	list.mail = n
	for _, h := range list.items {
		hs.byMail[n] += len(h.raw) + holdCost
	}
}

// mailFor gives the node whose replay a user's list waits for, or nil.
func (hs *holds) mailFor(bare string) *Node {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if list := hs.byUser[bare]; list != nil {
		return list.mail
	}
	return nil
}

// claimMail makes the caller, the replay of node n, the one who decides a user's list. When somebody is in the way
// that one begins the replay again.
func (hs *holds) claimMail(bare string, n *Node) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil || list.mail != n || list.busy {
		return false
	}
	list.busy = true
	return true
}

// nextMail gives the first stanza of a list that the caller has claimed, or takes the list out when there is none:
// from then on stanzas for the user go their way at once.
func (hs *holds) nextMail(bare string) (h held, ok bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if len(list.items) == 0 {
		hs.end(bare)
		return held{}, false
	}
	return list.items[0], true
}

// dropMail takes the first stanza of a list that the caller has claimed out.
func (hs *holds) dropMail(bare string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.shift(hs.byUser[bare])
}

// leaveMail makes a list that the caller has claimed an ordinary one again: nobody gets what is stored now.
func (hs *holds) leaveMail(bare string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	for _, h := range list.items {
		lower(hs.byMail, list.mail, len(h.raw)+holdCost)
		hs.order = append(hs.order, dueAt{h.until, bare}) // its time may have come while the replay ran
	}
	list.mail, list.busy, list.again = nil, false, false
	if len(list.items) == 0 {
		hs.end(bare)
	}
}

// mailUsers gives the users whose lists wait for a replay.
func (hs *holds) mailUsers() []string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	var users []string
	for bare, list := range hs.byUser {
		if list.mail != nil {
			users = append(users, bare)
		}
	}
	return users
}
