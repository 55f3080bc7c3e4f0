package interop

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// late is a node by hand that comes back after a stop of the server, and remembers what was kept for it.
type late struct {
	*node

	mu  sync.Mutex
	all []element // guarded by mu: the stanzas that came
}

func (x *late) take(e element) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, e)
}

// came is the number of stanzas that came.
func (x *late) came() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.all)
}

// continued starts a server again on the data of one that has stopped, and gives what comes to the nodes of some names: all that
// was stored, and nothing else. Nodes of other names have nothing.
func continued(t *testing.T, data string, stored int, names ...string) map[string][]element {
	t.Helper()
	s := serve(t, data)
	nodes := map[string]*late{}
	for _, name := range names {
		x := &late{}
		x.node = attached(t, s, name+".im.example", x.take)
		nodes[name] = x
	}
	eventually(t, fmt.Sprintf("%d stanzas that were stored", stored), func() bool {
		n := 0
		for x := range maps.Values(nodes) {
			n += x.came()
		}
		return n >= stored
	})
	l := s.stop(t)
	for _, fault := range s.faults() {
		if !strings.HasSuffix(fault, " reason=system-shutdown") {
			t.Errorf("after the restart the server says %q", fault)
		}
	}
	total, kept := 0, map[string][]element{}
	for name, x := range nodes {
		wait(t, x.over, "the end of the stream of "+name)
		kept[name], total = x.all, total+len(x.all)
		for _, e := range x.all {
			if e.XMLName.Local == "message" && strings.Count(e.Inner, "<delay xmlns='urn:xmpp:delay' from='hub1.im.example' stamp='") != 1 {
				t.Fatalf("%s was stored, and comes without a delay: %s", e.ID, e.Inner)
			}
		}
	}
	if total != stored || l["found"] != stored || l["delivered"] != stored {
		t.Errorf("%d stanzas were stored, %d came after the restart: %v", stored, total, l)
	}
	t.Logf("after the restart: %v", l)
	return kept
}

// resume adds to a party what was kept for it over a stop. What had come before, and was not proved, comes again; it
// is of one window, and comes first.
func (p *party) resume(t *testing.T, kept []element) (repeated int) {
	t.Helper()
	before, last, size := p.newest(t), map[string]int{}, 0
	for _, e := range kept {
		from, n := numbered(t, e)
		if before, known := last[from]; known && n <= before {
			t.Errorf("%s gets %s-%d behind %d", p.name, from, n, before)
		}
		last[from] = n
		if newest, known := before[from]; known && n <= newest {
			repeated, size = repeated+1, size+len(e.Inner)
			if !p.has(e) {
				t.Errorf("%s gets %s-%d, which had not come, but %d had", p.name, from, n, newest)
			}
			continue
		}
		p.take(e)
	}
	if size > mostRepeated {
		t.Errorf("%d bytes come again to %s, %d are the most", size, p.name, mostRepeated)
	}
	return repeated
}

// newest gives the highest number that came from each sender, and that was answered.
func (p *party) newest(t *testing.T) map[string]int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	top := map[string]int{}
	note := func(id, kind string) {
		from, n := numbered(t, element{ID: id, Type: kind})
		if was, known := top[from]; !known || n > was {
			top[from] = n
		}
	}
	for id := range p.got {
		note(id, "chat")
	}
	for id := range p.errors {
		note(id, "error")
	}
	return top
}

// has reports whether a message, or an error, has come.
func (p *party) has(e element) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Type == "error" {
		return len(p.errors[e.ID]) > 0
	}
	return p.got[e.ID] > 0
}

// numbered gives the sender of a message, and which one of its messages it is. Errors are apart: they come from elsewhere.
func numbered(t *testing.T, e element) (from string, n int) {
	t.Helper()
	from, text, _ := strings.Cut(e.ID, "-")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s %q has no number: %v", e.XMLName.Local, e.ID, err)
	}
	if e.Type == "error" {
		from += ", answered,"
	}
	return from, n
}

// repeats sees that what was kept for the nodes of an exchange is what they have got last: their libraries answer no pings
// once they have ended their streams, so the last that they read is not proved, and comes again with a delay.
func repeats(t *testing.T, sides []*side, data string, stored int) {
	t.Helper()
	var names []string
	for _, x := range sides {
		names = append(names, x.mark)
	}
	kept := continued(t, data, stored, names...)
	for _, x := range sides {
		var all []seen
		for _, e := range kept[x.mark] {
			_, body, _ := strings.Cut(e.Inner, "<body>")
			body, _, _ = strings.Cut(body, "</body>")
			all = append(all, seen{id: e.ID, from: e.From, to: e.To, body: body})
		}
		var last []seen
		for _, m := range x.down.messages(t) {
			last = append(last, m.unplaced())
		}
		if len(all) > len(last) || !slices.Equal(all, last[len(last)-len(all):]) {
			t.Errorf("%s had got %d messages; after the restart come %d, which are not the last of them", x.name, len(last), len(all))
		}
	}
}
