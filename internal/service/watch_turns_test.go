package service

import (
	"fmt"
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
