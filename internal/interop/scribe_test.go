package interop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// label is the first label of a domain.
func label(domain string) string {
	name, _, _ := strings.Cut(domain, ".")
	return name
}

// scribe is a node by hand that writes to readers, and notes what becomes of it in a book. It outlives the server.
type scribe struct {
	// set once
	b     *book
	name  string
	lanes []*lane

	// of one life of the server
	node  *node
	asked int             // guarded by book.mu
	known []map[*lane]int // guarded by book.mu: how far the lanes were at each ask that is not answered
}

// newScribe makes a scribe that writes to these addresses, by the names of the readers.
func newScribe(b *book, name string, addresses map[string]string) *scribe {
	x := &scribe{b: b, name: name}
	for to, address := range addresses {
		x.lanes = append(x.lanes, b.lane(name, to, address))
	}
	return x
}

// domain is the scribe's address.
func (x *scribe) domain() string { return x.name + ".im.example" }

// attach begins to write to a server.
func (x *scribe) attach(t *testing.T, s *server) {
	t.Helper()
	x.b.mu.Lock()
	x.asked, x.known = 0, nil
	x.b.mu.Unlock()
	x.node = attached(t, s, x.domain(), x.take)
	if err := x.node.say("<iq type='set' id='hello' from='%s' to='im.example'><sessions xmlns='urn:patchbay:sessions:1' sync='all'/></iq>", x.domain()); err != nil {
		t.Fatal(err)
	}
}

func (x *scribe) take(e element) {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	switch {
	case e.XMLName.Local == "message" && e.Type == "error":
		x.b.answered(x.name, e)
	case e.XMLName.Local == "iq" && strings.HasPrefix(e.ID, "ask-"):
		for r, n := range x.known[0] {
			r.decided = n
		}
		x.known = x.known[1:]
	}
}

// write writes messages of at most so many bytes to lanes by turns, a request now and then, and asks the server when it has decided
// them. It gives the bytes of them, or an error when the server is gone.
func (x *scribe) write(rng *rand.Rand, messages, most int, lanes ...*lane) (size int, err error) {
	var all strings.Builder
	now := time.Now()
	x.b.mu.Lock()
	for range messages {
		r := lanes[rng.IntN(len(lanes))]
		k := len(r.fates)
		m := chat(r.id(k), x.domain(), r.address, body[:1+rng.IntN(most)])
		r.fates = append(r.fates, fate{life: x.b.life, size: len(m), sent: now})
		all.WriteString(m)
		if k%64 == 0 {
			fmt.Fprintf(&all, "<iq type='get' id='q-%d-%s' from='%s' to='%s'><q xmlns='urn:example:q'/></iq>", x.b.life, r.id(k), x.domain(), r.address)
		}
	}
	x.asked++
	ask := x.asked
	at := map[*lane]int{}
	for _, r := range x.lanes {
		at[r] = len(r.fates)
	}
	x.known = append(x.known, at)
	x.b.mu.Unlock()
	fmt.Fprintf(&all, "<iq type='get' id='ask-%d' from='%s' to='hub1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>", ask, x.domain())
	return all.Len(), x.node.say("%s", all.String())
}

// body is what messages are cut from.
var body = strings.Repeat("The quick brown fox jumps over the lazy dog. ", 1000)

// heard reports whether the server has decided all that was written.
func (x *scribe) heard() bool {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	return len(x.known) == 0
}

// reader is a node by hand that notes what comes. It outlives its visits, and the server.
type reader struct {
	// set once
	b       *book
	name    string
	users   []string // full addresses; nil: the one of its name
	undated bool     // what is for it is held, and no delay says so
	held    bool     // the same, but for what is held since before the last start

	visit *visit // guarded by book.mu: the last; nil: it has left
}

// last gives the last visit.
func (x *reader) last() *visit {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	return x.visit
}

// leaves notes that the last visit is over.
func (x *reader) leaves() {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	x.visit = nil
}

// visit is one link of a reader.
type visit struct {
	*node
	name   string
	life   int
	before map[*lane]int // decided before it began
	halt   atomic.Bool   // it reads no further
	goOn   chan struct{} // closed when it does
	dead   atomic.Bool   // its process was killed: nothing is noted any more

	after    map[*lane]int // guarded by book.mu, as all below: sent when it had begun; nil: it is just beginning
	last     map[*lane]int // the last number that came
	repeated int           // bytes of what came again
	total    int
}

// attach begins a visit. The reader's user is there with it.
func (x *reader) attach(t *testing.T, s *server) *visit {
	t.Helper()
	x.b.mu.Lock()
	v := &visit{name: x.name, life: x.b.life, goOn: make(chan struct{}), last: map[*lane]int{}}
	x.b.mu.Unlock()
	switch {
	case x.held:
		v.before = x.b.sentBefore()
	case !x.undated:
		v.before = x.b.decided()
	}
	v.node = attached(t, s, x.name+".im.example", func(e element) { x.take(v, e) })
	after := x.b.sent()
	x.b.mu.Lock()
	v.after, x.visit = after, v
	x.b.mu.Unlock()
	users := x.users
	if users == nil {
		users = []string{userOf(x.name)}
	}
	err := v.say("<iq type='set' id='hello' from='%s.im.example' to='im.example'><sessions xmlns='urn:patchbay:sessions:1' sync='all'><announce jid='%s'/></sessions></iq>",
		x.name, strings.Join(users, "'/><announce jid='"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// userOf is the user of a reader.
func userOf(name string) string { return name + "@im.example/x" }

func (x *reader) take(v *visit, e element) {
	if v.halt.Load() {
		<-v.goOn
	}
	if v.dead.Load() {
		return
	}
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	v.total++
	switch {
	case e.XMLName.Local == "message" && e.Type != "error":
		x.b.came(v, e)
	case e.XMLName.Local == "iq" && e.Type == "get" && e.From != "hub1.im.example":
		if x.b.requests[e.ID] || !strings.HasPrefix(e.ID, fmt.Sprintf("q-%d-", v.life)) {
			x.b.fault("the request %s comes to %s", e.ID, v.name)
		}
		x.b.requests[e.ID] = true
	}
}

// stop makes the visit read no further, until goes.
func (v *visit) stop() { v.halt.Store(true) }

// goes makes it read on.
func (v *visit) goes() {
	if v.halt.CompareAndSwap(true, false) {
		close(v.goOn)
	}
}

// dies ends the link as a kill of the process would.
func (v *visit) dies(t *testing.T) {
	t.Helper()
	v.dead.Store(true)
	_ = v.conn.Close()
	v.goes()
	wait(t, v.over, "the end of the link of "+v.name)
}

// ended waits for the end of the link, and judges what came again on it.
func (v *visit) ended(t *testing.T, b *book) {
	t.Helper()
	v.goes()
	wait(t, v.over, "the end of the link of "+v.name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if v.repeated > mostWindow+mostBlock {
		b.fault("%d bytes come again on a link of %s", v.repeated, v.name)
	}
}

// mostBlock is the most that a block of the outbox has, in bytes.
const mostBlock = 64 << 10
