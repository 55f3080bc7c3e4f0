package interop

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// afterDrain is what a stop may take beyond the drain time: the last answers are written, and peers close their streams (2 s each in the server).
const afterDrain = 5 * time.Second

// load is what one node sends while the server stops.
type load struct {
	*party
	to   []string // addresses, in turn
	body string
}

// talk sends until the server takes no more, or until most messages.
func (l *load) talk(most int) {
	for n := 0; n < most; n++ {
		id := fmt.Sprintf("%s-%d", l.name, n)
		if l.say("%s", chat(id, l.user(), l.to[n%len(l.to)], l.body)) != nil {
			return
		}
	}
}

// ended gives the number of messages of this sender that the server accepted, after its end: each has reached one
// of the nodes or was answered, once, and none was left out before the last.
func (l *load) ended(t *testing.T, nodes ...*party) int {
	t.Helper()
	missing := -1
	for n, accepted, beyond := 0, 0, 0; ; n++ {
		id := fmt.Sprintf("%s-%d", l.name, n)
		ends := len(l.errors[id])
		for _, p := range nodes {
			ends += p.got[id]
		}
		switch {
		case ends > 1:
			t.Errorf("message %s has %d ends", id, ends)
		case ends == 1 && missing >= 0:
			t.Errorf("message %s has no end, but %s has", fmt.Sprintf("%s-%d", l.name, missing), id)
			return accepted
		case ends == 0 && missing < 0:
			missing = n
		}
		if accepted += ends; ends == 0 {
			beyond++
		}
		if beyond > 20_000 { // more than any buffer holds between two nodes
			return accepted
		}
	}
}

// TestStop ends the server while nodes send as fast as they can: to each other, to a node that has just dropped, and
// to nobody. What they had not proved, and what waited, comes after the restart.
func TestStop(t *testing.T) {
	const drain = 10 * time.Second
	data := t.TempDir()
	s := serve(t, data, "timers.drain="+drain.String(), "limits.queue=64MiB")
	a, b, away := attachParty(t, s, "a"), attachParty(t, s, "b"), attachParty(t, s, "away")
	all := []*party{a, b, away}
	for _, p := range all {
		p.announce(t)
	}
	away.cut()
	s.find(t, regexp.MustCompile("link dropped .*node=away"))
	loads := []*load{
		{a, []string{b.user(), away.user(), b.user(), "nobody@im.example"}, strings.Repeat("a", 100)},
		{b, []string{a.user(), a.user(), away.user()}, strings.Repeat("b", 300)},
	}
	var talking sync.WaitGroup
	for _, l := range loads {
		talking.Go(func() { l.talk(1e9) })
	}
	eventually(t, "a thousand messages each way", func() bool { return a.received() > 1000 && b.received() > 1000 })
	s.terminate(t)
	began := time.Now()
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > drain+afterDrain {
		t.Errorf("the stop took %v", took)
	}
	talking.Wait()
	for _, p := range []*party{a, b} {
		farewell(t, p)
	}
	l := s.ledger(t)
	resumed(t, data, l, all)
	sent := len(all) // the announces
	for _, x := range loads {
		n := x.ended(t, all...)
		t.Logf("%s: %d accepted, %d of them answered", x.name, n, len(x.errors))
		sent += n
	}
	balance(t, l, sent, all)
}

// farewell sees that a node was told why its stream ended (RFC 6120 4.9.3.20).
func farewell(t *testing.T, p *party) {
	t.Helper()
	wait(t, p.over, "the end of the stream of "+p.name)
	if p.condition != "system-shutdown" || !p.closed {
		t.Errorf("the stream of %s ends with %q, closed: %v", p.name, p.condition, p.closed)
	}
}

// resumed starts the server again, and adds what was kept for the parties to what they have got.
func resumed(t *testing.T, data string, l ledger, all []*party) {
	t.Helper()
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	kept := continued(t, data, l["stored"], names...)
	for _, p := range all {
		repeated := p.resume(t, kept[p.name])
		t.Logf("%s: %d come after the restart, %d of them again", p.name, len(kept[p.name]), repeated)
	}
}

// balance holds the ledger against what the nodes have sent and got, over the stop.
func balance(t *testing.T, l ledger, sent int, all []*party) {
	t.Helper()
	got := 0
	for _, p := range all {
		got += p.total
	}
	if l["accepted"] != sent || l["delivered"]+l["written"]+l["stored"] != got || l["waiting"] != 0 {
		t.Errorf("%d stanzas sent have an end, %d came: %v", sent, got, l)
	}
	t.Logf("%v", l)
}

// TestStopAtOnce ends the server in the moment in which it begins to listen.
func TestStopAtOnce(t *testing.T) {
	data := t.TempDir()
	for range 5 {
		s := &server{process: start(t, patchbay(t, data))}
		s.find(t, listens)
		s.stop(t)
	}
}

// TestHangupWithoutFile closes the terminal of a development server: it stops in order, as there is nothing to load again.
func TestHangupWithoutFile(t *testing.T) {
	s := serve(t, t.TempDir())
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, strings.Join(s.output(), "\n"))
	}
	s.ledger(t)
}

// TestStopStuck ends the server while one node takes nothing, and dies of it: it may not hold up the stop beyond the drain
// time, and gets all after the restart.
func TestStopStuck(t *testing.T) {
	const drain, messages = 2 * time.Second, 2000
	data := t.TempDir()
	s := serve(t, data, "timers.drain="+drain.String(), "limits.queue=64MiB")
	a, stuck := attachParty(t, s, "a"), attachParty(t, s, "stuck")
	a.announce(t)
	stuck.announce(t)
	stuck.mu.Lock() // its reader waits from its next stanza on
	l := &load{a, []string{stuck.user()}, strings.Repeat("s", 16<<10)}
	l.talk(messages)
	a.ask(t, "get", "<ping xmlns='urn:xmpp:ping'/>")
	s.terminate(t)
	began := time.Now()
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > drain+afterDrain {
		t.Errorf("the stop took %v", took)
	}
	_ = stuck.conn.Close() // what its kernel has, the node never reads
	stuck.mu.Unlock()
	farewell(t, a)
	wait(t, stuck.over, "the end of the stream of the node that was stuck")
	account := s.ledger(t)
	resumed(t, data, account, []*party{a, stuck})
	if n := l.ended(t, stuck); n != messages || len(a.errors) > 0 {
		t.Errorf("%d of %d messages have come, %d were answered", n, messages, len(a.errors))
	}
	balance(t, account, messages+3, []*party{a, stuck})
}
