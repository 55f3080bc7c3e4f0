package service

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// flood is a node that watches as many users as one may and takes nothing, and another that watches one of them.
type flood struct {
	*testbed
	users           []string
	stuck, other    map[string]string // what they know
	before, message int
}

func newFlood(tb *testbed) *flood {
	f := &flood{testbed: tb, stuck: map[string]string{}, other: map[string]string{}}
	for i := range maxWatches {
		f.users = append(f.users, fmt.Sprintf("u%d@im", i))
		tb.ask("n2", "watch", f.users[i])
	}
	tb.ask("n2", "watch", "more@im")
	tb.ask("n2", "watch", f.users[0])
	tb.ask("shy", "watch", f.users[0])
	synctest.Wait()
	refused := 0
	tb.each("n2", func(h *stanza.Header) {
		if h.Type == stanza.TypeError {
			refused++
		}
	})
	if refused != 1 {
		tb.t.Errorf("%d watches were refused; one is too many", refused)
	}
	tb.each("shy", func(*stanza.Header) {})
	tb.wires["n2"].stick()
	return f
}

// round changes all users, and holds the rest of the server to its work: each announce has its result, messages go
// on in their order, and the other watcher is told at once.
func (f *flood) round(priority int) {
	f.t.Helper()
	const some = maxItems
	for users := range slices.Chunk(f.users, some) {
		f.state("n1", "", announces(users, priority))
		f.message++
		if err := f.send("n1", fmt.Sprintf("<message from='n1' to='shy' id='%d'/>", f.message)); err != nil {
			f.t.Fatal(err)
		}
	}
	synctest.Wait()
	next := f.message - len(f.users)/some
	f.each("shy", func(h *stanza.Header) {
		if n, ok := f.notice(h); ok {
			f.other[n.jid] = n.says
		} else if next++; string(h.In(h.ID.Value)) != fmt.Sprint(next) {
			f.t.Fatalf("message %s came when %d was due", h.In(h.ID.Value), next)
		}
	})
	f.expectKnown("shy", f.other, f.users[0])
	results := 0
	f.each("n1", func(h *stanza.Header) {
		if h.Type == stanza.TypeResult {
			results++
		}
	})
	if next != f.message || results != len(f.users)/some {
		f.t.Fatalf("message %d of %d came, and %d results", next, f.message, results)
	}
}

// bounds holds what is kept for the watcher that takes nothing to the number of its watches, and to a window.
func (f *flood) bounds() {
	f.t.Helper()
	ws := f.service.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if n := ws.links[f.srcs["n2"]].due.Len() + len(ws.dirty); n > maxWatches {
		f.t.Errorf("%d watches wait to be told", n)
	}
	if grown := f.router.Node("n2").Queue().Bytes - f.before; grown > maxWindow+1000 {
		f.t.Errorf("%d bytes wait for the watcher that takes nothing", grown)
	}
}

// TestFlood: 100 000 changes of 10 000 watched users whose watcher takes nothing. It costs a window, the others
// nothing; and when the watcher takes something again it comes to know what there is.
func TestFlood(t *testing.T) {
	bubble(t, func(tb *testbed) {
		f := newFlood(tb)
		f.before = tb.router.Node("n2").Queue().Bytes
		for priority := range 10 {
			f.round(priority)
			f.bounds()
		}
		time.Sleep(time.Minute)
		f.bounds()
		tb.wires["n2"].goOn()
		time.Sleep(time.Minute)
		synctest.Wait()
		n := tb.hear("n2", f.stuck)
		tb.expectKnown("n2", f.stuck, f.users...)
		if n > 2*maxWatches {
			t.Errorf("the watcher that took nothing was told %d times of %d users", n, maxWatches)
		}
		tb.detach("n2")
		synctest.Wait()
		if ws := tb.service.watches; ws.count.Load() != 1 || len(ws.users) != 1 || len(ws.links) != 1 {
			t.Errorf("of %d links %d watches of %d users are left", len(ws.links), ws.count.Load(), len(ws.users))
		}
	})
}

// A watcher whose queue is full of other stanzas hears of what has changed when there is room again: of what did not
// fit, and of nothing twice.
func TestFullQueue(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.wires["n2"].stick()
		tb.ask("n2", "watch", "a@im")
		for _, size := range []int{1 << 15, 1 << 10} {
			message := "<message from='n1' to='n2' id='m'><body>" + strings.Repeat("x", size) + "</body></message>"
			for tb.bounced("n1", message) == 0 {
			}
		}
		var items strings.Builder
		for i := range storage.MaxResources { // more than the reserve for what the server says
			fmt.Fprintf(&items, "<announce jid='a@im/%d%s'/>", i, strings.Repeat("x", 200))
		}
		tb.state("n1", "", items.String())
		time.Sleep(time.Minute)
		tb.wires["n2"].goOn()
		time.Sleep(2 * pauseMost)
		synctest.Wait()
		m := &watchModel{testbed: tb, links: map[string]*hearing{"n2": newHearing()}}
		m.read("n2")
		tb.expectKnown("n2", m.links["n2"].knows, "a@im")
	})
}

// announces makes items that give each user one session with a priority.
func announces(users []string, priority int) string {
	var items strings.Builder
	for _, u := range users {
		fmt.Fprintf(&items, "<announce jid='%s/1' priority='%d'/>", u, priority)
	}
	return items.String()
}

// bounced sends a stanza, and counts the errors that came back.
func (tb *testbed) bounced(node, raw string) (n int) {
	tb.t.Helper()
	if err := tb.send(node, raw); err != nil {
		tb.t.Fatal(err)
	}
	tb.each(node, func(h *stanza.Header) {
		if h.Type == stanza.TypeError {
			n++
		}
	})
	return n
}

// Behind the result of unwatch nothing comes of that user, however fast the changes are.
func TestUnwatchRace(t *testing.T) {
	m := &watchModel{testbed: newTestbed(t), links: map[string]*hearing{"n2": newHearing()}}
	for i := range 100 {
		m.presence("n1", fmt.Sprintf("u@im/%d", i), "0", false)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 3000 {
			if err := m.send("n1", fmt.Sprintf("<presence from='u@im/1' to='im'><priority>%d</priority></presence>", i%100)); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		m.ask("n2", "watch", "u@im")
		for m.wires["n2"].size() < 500 { // until it is being told
			runtime.Gosched()
		}
		m.ask("n2", "unwatch", "u@im")
		m.read("n2")
	}
	m.close()
	m.read("n2")
}
