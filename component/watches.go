package component

import (
	"maps"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"
)

// watches are the users that this node watches, by bare JID. What is wanted changes in the turn of the request that says
// so, and what is sure changes when the answer is read, so both are in the order of the stream: the last request about a
// user is also what stands here.
type watches struct {
	mu sync.Mutex
	m  map[string]*watched // guarded by mu
}

// watched is one user, until a request to unwatch. All of it is guarded by watches.mu.
type watched struct {
	who    jid.JID
	stands bool // it is watched, or will be unless the answer is a refusal
	sure   bool // the server has taken it
	open   int  // requests whose outcome is not known: while there is one, it may come to stand again
}

// watching is one request to watch; what it is about is known when it is written.
type watching struct {
	user *watched // guarded by watches.mu; nil: it was not written, or its outcome is known
}

func (w *watches) init() { w.m = make(map[string]*watched) }

// want notes what is being watched, so that a reconnect meanwhile states it.
func (w *watches) want(r *watching, who jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.m[who.String()]
	if u == nil {
		u = &watched{who: who}
		w.m[who.String()] = u
	}
	u.stands = true
	u.open++
	r.user = u
}

// again notes that a watch is stated once more; errUnwatched if there is none.
func (w *watches) again(r *watching, who jid.JID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.m[who.String()]
	if u == nil || !u.stands {
		return errUnwatched
	}
	u.open++
	r.user = u
	return nil
}

// settle notes what became of a request to watch. Of several for one user, a later one may be taken although an earlier
// one was refused; one that was taken stands, whatever becomes of a later one.
func (w *watches) settle(r *watching, taken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u := r.user; u != nil {
		u.sure = u.sure || taken
		u.stands = u.sure
		w.known(r)
	}
}

// lose notes that a request has ended with its link, and changes nothing that stands.
func (w *watches) lose(r *watching) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.user != nil {
		w.known(r)
	}
}

// giveUp notes that the server has refused a watch which was stated again, and reports whether it stood.
func (w *watches) giveUp(r *watching) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := r.user
	stood := u.stands && w.m[u.who.String()] == u
	u.stands, u.sure = false, false
	w.known(r)
	return stood
}

// known ends a request, and forgets its user if that was the last of one who is not watched. Under the lock.
func (w *watches) known(r *watching) {
	u, key := r.user, r.user.who.String()
	r.user = nil
	u.open--
	if !u.stands && u.open == 0 && w.m[key] == u {
		delete(w.m, key)
	}
}

// drop ends a watch. What was asked before has no effect any more on what stands here.
func (w *watches) drop(who jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m, who.String())
}

func (w *watches) has(who jid.JID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.m[who.Bare().String()]
	return u != nil && u.stands
}

func (w *watches) all() []jid.JID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []jid.JID
	for _, key := range slices.Sorted(maps.Keys(w.m)) {
		if u := w.m[key]; u.stands {
			out = append(out, u.who)
		}
	}
	return out
}
