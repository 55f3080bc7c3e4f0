package service

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// A node that holds a thousand watched users, and watches and unwatches another one time after time, has only that one
// looked at: what it costs does not grow with what others watch.
func TestWatchInTurn(t *testing.T) {
	bubble(t, func(tb *testbed) {
		ws := tb.service.watches
		var looks atomic.Int64
		see := ws.see
		ws.see = func(bare []byte) []seen {
			looks.Add(1)
			return see(bare)
		}
		var users []string
		for i := range maxItems {
			users = append(users, fmt.Sprintf("u%d@im", i))
			tb.ask("n2", "watch", users[i])
		}
		tb.state("n1", "", announces(users, 0))
		synctest.Wait()
		if n := looks.Load(); n < maxItems {
			t.Fatalf("%d users were watched in %d looks", maxItems, n)
		}
		looks.Store(0)
		const turns = 50
		for range turns {
			tb.ask("n1", "watch", "friend@im")
			synctest.Wait()
			tb.ask("n1", "unwatch", "friend@im")
			synctest.Wait()
		}
		if n := looks.Load(); n > 2*turns {
			t.Errorf("%d turns of watch and unwatch of one user made %d looks", turns, n)
		}
		looks.Store(0)
		tb.presence("n1", "u7@im/1", "5", false)
		synctest.Wait()
		if n := looks.Load(); n != 1 {
			t.Errorf("a change of one user made %d looks", n)
		}
	})
}

// A link that has no watch left is forgotten when it drops, and not before.
func TestWatcherStaysWithItsLink(t *testing.T) {
	bubble(t, func(tb *testbed) {
		ws := tb.service.watches
		watchers := func(want int) {
			t.Helper()
			synctest.Wait()
			ws.mu.Lock()
			defer ws.mu.Unlock()
			if len(ws.links) != want || ws.count.Load() != 0 {
				t.Errorf("%d links have %d watches; want %d without any", len(ws.links), ws.count.Load(), want)
			}
		}
		for _, node := range []string{"n1", "n2"} {
			tb.ask(node, "watch", "a@im")
			tb.ask(node, "unwatch", "a@im")
		}
		watchers(2)
		tb.detach("n1")
		watchers(1)
		tb.attach("n1")
		watchers(1)
		tb.detach("n2")
		watchers(0)
	})
}

// A link that shares its domain drops without a change of the node's record: what it leaves goes when the next link
// begins to watch.
func TestWatcherOfSharedDomain(t *testing.T) {
	bubble(t, func(tb *testbed) {
		shared := &routing.Grant{Instances: 2}
		tb.attachAs("bot", shared)
		first, wire := tb.srcs["bot"], tb.wires["bot"]
		tb.ask("bot", "watch", "a@im")
		synctest.Wait()
		tb.attachAs("bot", shared)
		synctest.Wait()
		wire.Interrupt()
		first.Detach()
		tb.ask("n2", "watch", "b@im")
		synctest.Wait()
		ws := tb.service.watches
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if len(ws.links) != 1 || len(ws.users) != 1 || ws.count.Load() != 1 {
			t.Errorf("%d links have %d watches of %d users, want one", len(ws.links), ws.count.Load(), len(ws.users))
		}
	})
}

// However often a link that takes nothing watches a user anew, no more than a window of notices waits for it.
func TestWindowOfTurns(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.service.watches.window = 1000
		tb.presence("n1", "a@im/"+strings.Repeat("x", 1000), "0", false)
		tb.wires["n2"].stick()
		for range 20 {
			tb.ask("n2", "watch", "a@im")
			synctest.Wait()
			tb.ask("n2", "unwatch", "a@im")
			synctest.Wait()
		}
		tb.wires["n2"].goOn()
		time.Sleep(3 * pauseMost)
		synctest.Wait()
		notices := 0
		tb.each("n2", func(h *stanza.Header) {
			if _, ok := tb.notice(h); ok {
				notices++
			}
		})
		if notices != 1 {
			t.Errorf("%d notices waited where one filled the window", notices)
		}
	})
}

// block has more said to n2, which takes nothing, than its queue holds, and users watched by it log in: as many as
// would fill what is left.
func (tb *testbed) block(users []string) {
	tb.t.Helper()
	tb.wires["n2"].stick()
	for _, size := range []int{1 << 15, 1 << 10} {
		message := "<message from='n1' to='n2' id='m'><body>" + strings.Repeat("x", size) + "</body></message>"
		for tb.bounced("n1", message) == 0 {
		}
	}
	tb.state("n1", "", announces(users, 0))
	time.Sleep(3 * pauseMost)
	synctest.Wait()
}

// What the server owes a watching node that takes nothing for a time, errors and results, has its room: notices of
// changes, which can be told later, leave it.
func TestNoticesLeaveRoom(t *testing.T) {
	bubble(t, func(tb *testbed) {
		var users []string
		for i := range 600 {
			users = append(users, fmt.Sprintf("u%d@im", i))
			tb.ask("n2", "watch", users[i])
		}
		tb.presence("n2", "me@im/r", "0", false)
		time.Sleep(30 * time.Second) // the view is complete: what follows is not held
		tb.each("n2", func(*stanza.Header) {})
		tb.block(users)
		if err := tb.send("n2", "<message from='me@im/r' to='offline@im' id='lost' type='chat'><body>hi</body></message>"); err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"where u1@im", "watch more@im", "watch u2@im", "unwatch u1@im"} {
			name, jid, _ := strings.Cut(what, " ")
			tb.ask("n2", name, jid)
		}
		tb.presence("n1", "more@im/1", "0", false)
		tb.wires["n2"].goOn()
		time.Sleep(3 * pauseMost)
		synctest.Wait()
		knows, answers := map[string]string{}, []string{}
		tb.each("n2", func(h *stanza.Header) {
			if n, ok := tb.notice(h); ok {
				knows[n.jid] = n.says
			} else if id := string(h.In(h.ID.Value)); id != "m" {
				answers = append(answers, string(h.In(h.TypeAttr.Value))+" "+id)
			}
		})
		want := []string{"error lost", "result where u1@im", "result watch more@im", "result watch u2@im", "result unwatch u1@im"}
		if !slices.Equal(answers, want) {
			t.Errorf("the node was answered %q, want %q", answers, want)
		}
		tb.expectKnown("n2", knows, append(slices.Delete(users, 1, 2), "more@im")...)
		if n := tb.router.Ledger().Untold; n != 0 {
			t.Errorf("%d answers found no room", n)
		}
	})
}

// Notices alone fill no more than half of a queue, however small it is: messages of others have the rest.
func TestNoticesFillHalf(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.service.watches.window = 10 << 20
		var items strings.Builder
		for i := range 200 {
			fmt.Fprintf(&items, "<announce jid='a@im/%d%s'/>", i, strings.Repeat("x", 800))
		}
		var users []string
		for i := range 10 {
			users = append(users, fmt.Sprintf("a%d@im", i))
			tb.ask("n2", "watch", users[i])
		}
		synctest.Wait()
		tb.wires["n2"].stick()
		for _, u := range users {
			tb.state("n1", "", strings.ReplaceAll(items.String(), "a@im", u))
		}
		time.Sleep(time.Minute)
		if waits := tb.router.Node("n2").Queue().Bytes; waits > 1<<19 || waits < 1<<18 {
			t.Errorf("%d bytes of notices wait in a queue of 1 MiB", waits)
		}
		tb.each("n1", func(*stanza.Header) {})
		if tb.bounced("n1", "<message from='n1' to='n2' id='m'><body>"+strings.Repeat("x", 1<<17)+"</body></message>") != 0 {
			t.Error("a message was bounced because of notices")
		}
		tb.wires["n2"].goOn()
		time.Sleep(time.Minute)
		m := &watchModel{testbed: tb, links: map[string]*hearing{"n2": newHearing()}}
		m.read("n2")
		tb.expectKnown("n2", m.links["n2"].knows, users...)
	})
}
