package interop

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// claim is what a node may rely on about one of its users.
type claim uint8

const (
	absent  claim = iota // a withdraw was acknowledged
	present              // an announce was acknowledged
	open                 // the last statement was not answered: both may be true
)

// change is one item of a statement.
type change struct {
	user string
	to   claim
}

// owner is what outlives the kills of the server on the side of a node: whom it has announced, and what of it was
// acknowledged. Some of its users, the steady ones, stay announced for ever.
type owner struct {
	// set once
	name string

	mu      sync.Mutex
	rng     *rand.Rand          // guarded by mu, as all below
	users   map[string]claim    // by local part
	busy    map[string]bool     // in a statement on its way, or not to be touched any more
	pending map[string][]change // by the id of the statement
	serial  int
	arrived map[string]bool // ids of the messages that came
	acked   [2]int          // items acknowledged, by claim
	faults  []string
}

const (
	steadyUsers = 50
	mostUsers   = 3000 // of a node, so that the test does not slow down with its own past
	inFlight    = 4    // statements
)

func newOwner(name string, seed uint64) *owner {
	return &owner{name: name, rng: rand.New(rand.NewPCG(seed, uint64(len(name)))), users: map[string]claim{},
		busy: map[string]bool{}, pending: map[string][]change{}, arrived: map[string]bool{}}
}

func (o *owner) steady(i int) string { return fmt.Sprintf("%s-steady%d", o.name, i) }

// life is one attachment of an owner.
type life struct {
	o      *owner
	node   *node
	slots  chan struct{}
	synced chan struct{} // closed when the end of a sync is acknowledged
}

func (o *owner) attach(s *server) (*life, error) {
	l := &life{o: o, slots: make(chan struct{}, inFlight), synced: make(chan struct{})}
	n, err := attach(s, o.name+".im.example", l.take)
	l.node = n
	return l, err
}

// take reads what the server says.
func (l *life) take(e element) {
	o := l.o
	o.mu.Lock()
	defer o.mu.Unlock()
	switch name := e.XMLName.Local; {
	case name == "message" && e.Type != "error":
		o.arrived[e.ID] = true
	case name == "iq" && e.Type == "result":
		o.acknowledged(e.ID)
		if strings.HasPrefix(e.ID, "end-") {
			close(l.synced)
		} else if strings.HasPrefix(e.ID, "say-") {
			<-l.slots
		}
	case name == "iq" && e.Type == "get": // a keep-alive
	default:
		o.faults = append(o.faults, fmt.Sprintf("%s is told %s %s: %s", o.name, e.Type, name, e.Inner))
	}
}

// acknowledged notes the answer to a statement. Called with mu held.
func (o *owner) acknowledged(id string) {
	for _, c := range o.pending[id] {
		o.users[c.user] = c.to
		o.acked[c.to]++
		delete(o.busy, c.user)
	}
	delete(o.pending, id)
}

// killed notes that no more answers come.
func (o *owner) killed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, list := range o.pending {
		for _, c := range list {
			if o.users[c.user] != c.to {
				o.users[c.user] = open
			}
			delete(o.busy, c.user)
		}
		delete(o.pending, id)
	}
}

// state writes one statement; before it is written, its changes are noted as pending.
func (l *life) state(kind, sync string, list []change) error {
	o := l.o
	o.mu.Lock()
	o.serial++
	id := fmt.Sprintf("%s-%d", kind, o.serial)
	o.pending[id] = list
	var items strings.Builder
	for _, c := range list {
		o.busy[c.user] = true
		if verb := [...]string{"withdraw", "announce"}[c.to]; sync == "" || c.to == present {
			fmt.Fprintf(&items, "<%s jid='%s@im.example/x'/>", verb, c.user)
		}
	}
	o.mu.Unlock()
	return l.node.say("<iq type='set' id='%s' from='%s.im.example' to='im.example'><sessions xmlns='urn:patchbay:sessions:1'%s>%s</sessions></iq>",
		id, o.name, sync, items.String())
}

// begin announces the steady users.
func (l *life) begin() error {
	list := make([]change, steadyUsers)
	for i := range list {
		list[i] = change{l.o.steady(i), present}
	}
	l.slots <- struct{}{}
	return l.state("say", "", list)
}

// restate states everything by a sync, but for a few who are withdrawn by leaving them out.
func (l *life) restate() error {
	var stay, leave []change
	l.o.mu.Lock()
	for _, user := range slices.Sorted(maps.Keys(l.o.users)) {
		switch {
		case l.o.users[user] == absent:
		case !strings.Contains(user, "steady") && l.o.rng.IntN(20) == 0:
			leave = append(leave, change{user, absent})
		default:
			stay = append(stay, change{user, present})
		}
	}
	l.o.mu.Unlock()
	word := " sync='start'"
	for part := range slices.Chunk(stay, 500) {
		if err := l.state("sync", word, part); err != nil {
			return err
		}
		word = " sync='more'"
	}
	return l.state("end", " sync='end'", leave)
}

// talk states changes until the stream ends, a few statements at a time.
func (l *life) talk() {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.node.over:
			return
		}
		if l.state("say", "", l.o.mixture()) != nil {
			return
		}
	}
}

// mixture draws the next changes: new users, some who leave, some who come back.
func (o *owner) mixture() (list []change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	drawn := map[string]bool{}
	for range 1 + o.rng.IntN(40) {
		user := fmt.Sprintf("%s-%d", o.name, o.rng.IntN(mostUsers))
		if o.busy[user] || drawn[user] {
			continue
		}
		drawn[user] = true
		to := present
		if o.users[user] == present && o.rng.IntN(3) > 0 {
			to = absent
		}
		list = append(list, change{user, to})
	}
	return list
}

// some gives at most n users of whom a claim holds, in no order.
func (o *owner) some(c claim, n int) (users []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, user := range slices.Sorted(maps.Keys(o.users)) {
		if o.users[user] == c {
			users = append(users, user)
		}
	}
	o.rng.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	return users[:min(n, len(users))]
}

// retire leaves users alone for ever.
func (o *owner) retire(users []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, user := range users {
		o.busy[user] = true
	}
}

// lacks tells which of the messages have not come.
func (o *owner) lacks(ids []string) (missing []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if !o.arrived[id] {
			missing = append(missing, id)
		}
	}
	return missing
}
