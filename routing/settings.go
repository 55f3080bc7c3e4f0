package routing

import (
	"errors"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// Settings are what can change while the router runs.
type Settings struct {
	Users  []UserDomain
	Known  []string      // domains of nodes that the configuration names exactly
	Limits stanza.Limits // of one stanza
	Fan    int           // addresses of one message (XEP-0033); 0 is 2000
	Queue  int           // bytes that may wait in memory for one node, and for all unknown users together
	Outbox int64         // bytes that may wait on disk for one node
	Memory int64         // bytes of all queues and of all that is written and unproved, together
	Grace  time.Duration // a dropped node keeps its sessions this long
	Settle time.Duration // how long a stanza to a user not yet known is held
	Age    time.Duration // how long what is stored for domains that are not among Users any more is kept; 0: for ever
}

// ErrNoStore is returned by Apply for PolicyStore when the router was made without a store.
var ErrNoStore = errors.New("apply settings: a policy stores messages, and there is no store")

// clone gives Settings of the router's own.
func (s *Settings) clone() *Settings {
	own := *s
	own.Users, own.Known = slices.Clone(s.Users), slices.Clone(s.Known)
	if own.Fan == 0 {
		own.Fan = 2000
	}
	return &own
}

// set gives the settings that count now.
func (r *Router) set() *Settings { return r.settings.Load() }

// Apply puts other settings in the place of those that count. Links stay, and take the limits with the next bytes that
// they read; graces and holds that run end when they would have. What waits beyond a lower limit stays. A node that has
// a link under a domain that becomes a user domain has to be detached by the caller. On an error nothing has changed.
func (r *Router) Apply(next Settings) error {
	if r.mail.store == nil && slices.ContainsFunc(next.Users, func(u UserDomain) bool { return u.Offline == PolicyStore }) {
		return ErrNoStore
	}
	r.applying.Lock()
	defer r.applying.Unlock()
	was := r.set()
	r.settings.Store(next.clone())
	r.serve(r.set())
	r.retire(was)
	r.holds.setLimit(next.Queue)
	r.most.Store(next.Outbox)
	r.env.memory.Store(next.Memory)
	for _, q := range r.queues() {
		q.setLimit(next.Queue)
	}
	return nil
}

// serve makes the domains of the settings known.
func (r *Router) serve(set *Settings) {
	for _, name := range set.Known {
		r.nodeOf(name).become(Never, Past)
	}
	for i := range set.Users {
		u := &set.Users[i]
		if u.ForwardTo != "" {
			u.forward = r.nodeOf(u.ForwardTo)
		}
		r.table.entry(u.Name).user.Store(u)
	}
}

// retire forgets the domains that only earlier settings name. A node that was ever attached stays known.
func (r *Router) retire(was *Settings) {
	now := r.set()
	for i := range was.Users {
		name := was.Users[i].Name
		if !slices.ContainsFunc(now.Users, func(u UserDomain) bool { return u.Name == name }) {
			r.table.entry(name).user.Store(nil)
			r.release(r.holds.usersOf(name)) // a node may have the name next, and then they would be late
		}
	}
	for _, name := range was.Known {
		n := r.Node(name)
		if n == nil || n.ID() != 0 || slices.Contains(now.Known, name) {
			continue
		}
		if n.become(Past, Never); n.ID() != 0 {
			n.become(Never, Past) // it has come and gone this moment
		}
	}
}

// setLimit changes how many bytes may be held.
func (hs *holds) setLimit(limit int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.limit = limit
}

// setLimit changes how many bytes may wait.
func (q *Queue) setLimit(limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
}
