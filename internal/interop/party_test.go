package interop

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// party is a node by hand that remembers what it was told.
type party struct {
	*node
	name string // its domain's first label, and its user

	mu     sync.Mutex
	serial int                 // guarded by mu, as all below
	got    map[string]int      // messages that came, by id
	errors map[string][]string // message errors that came, by id
	result map[string]bool     // iqs answered with a result
	total  int                 // stanzas that came
}

func attachParty(t *testing.T, s *server, name string) *party {
	t.Helper()
	p := &party{name: name, got: map[string]int{}, errors: map[string][]string{}, result: map[string]bool{}}
	p.node = attached(t, s, name+".im.example", p.take)
	return p
}

// user is the full address of the party's user.
func (p *party) user() string { return p.name + "@im.example/x" }

// announce announces the party's user.
func (p *party) announce(t *testing.T) {
	t.Helper()
	p.ask(t, "set", "<sessions xmlns='urn:patchbay:sessions:1'><announce jid='"+p.user()+"'/></sessions>")
}

func (p *party) take(e element) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total++
	switch name := e.XMLName.Local; {
	case name == "message" && e.Type == "error":
		p.errors[e.ID] = append(p.errors[e.ID], e.Inner)
	case name == "message":
		p.got[e.ID]++
	case name == "iq" && e.Type == "result":
		p.result[e.ID] = true
	}
}

// ask sends an iq to the user domain and waits for its result: all that was sent before it has been decided then.
func (p *party) ask(t *testing.T, kind, payload string) {
	t.Helper()
	p.mu.Lock()
	p.serial++
	id := fmt.Sprintf("ask-%d", p.serial)
	p.mu.Unlock()
	if err := p.say("<iq type='%s' id='%s' from='%s.im.example' to='im.example'>%s</iq>", kind, id, p.name, payload); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the result of an iq of "+p.name, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.result[id]
	})
}

// refused gives the errors of messages whose id does not begin with but.
func (p *party) refused(but string) (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, inner := range p.errors {
		if but == "" || !strings.HasPrefix(id, but) {
			list = append(list, fmt.Sprintf("%s: %q", id, inner))
		}
	}
	return list
}

// received gives the number of messages that came.
func (p *party) received() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

// heard reports whether a message came.
func (p *party) heard(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[id] > 0
}

// leaves ends the party's stream in order.
func (p *party) leaves(t *testing.T) {
	t.Helper()
	if err := p.say("</stream:stream>"); err != nil {
		t.Fatal(err)
	}
	wait(t, p.over, "the end of the stream of "+p.name)
}

// chat is a message.
func chat(id, from, to, body string) string {
	return "<message type='chat' id='" + id + "' from='" + from + "' to='" + to + "'><body>" + body + "</body></message>"
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("wait in vain for %s", what)
		}
	}
}
