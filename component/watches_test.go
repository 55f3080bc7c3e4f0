package component

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Whatever becomes of a request whose caller has gone, it is noted: has says what the server does, and no answer reaches
// the handler.
func TestWatchAbandoned(t *testing.T) {
	for _, c := range []struct {
		name   string
		before bool // it is watched already
		answer func(*fakeLink, *testing.T, fakeStanza)
		want   bool
		told   string // after the next link has stated it, or not
	}{
		{"taken", false, func(l *fakeLink, _ *testing.T, s fakeStanza) { l.accept(s, "") }, true, "attached|detached|attached"},
		{"refused", false, func(l *fakeLink, _ *testing.T, s fakeStanza) { l.reject(s, "resource-constraint", "") }, false, "attached|detached|attached"},
		{"refused, but it stands", true, func(l *fakeLink, _ *testing.T, s fakeStanza) { l.reject(s, "resource-constraint", "") }, true, "attached|detached|attached"},
		{"not answered", false, func(*fakeLink, *testing.T, fakeStanza) {}, true, "attached|detached|attached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				cfg := f.config()
				got := cfg.told()
				handled := 0
				cfg.Handler = xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { handled++; return nil })
				n, l := f.attached(t, cfg)
				if c.before {
					go func() { l.accept(l.next(t), "") }()
					if err := n.Watch(t.Context(), bob.Bare()); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := n.Watch(ctx, bob.Bare()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				c.answer(l, t, l.next(t))
				synctest.Wait()
				if n.watches.has(bob) != c.want || handled > 0 {
					t.Errorf("watched %t, want %t; %d answers for the handler", n.watches.has(bob), c.want, handled)
				}
				l.conn.Close()
				l = <-f.links
				said := l.servesWatches(t)
				<-said
				synctest.Wait()
				if len(said) > 0 != c.want || strings.Join(*got, "|") != c.told {
					t.Errorf("said %d more, told %q", len(said), *got)
				}
			})
		})
	}
}

// What ended with its link, and was not written on another before ctx ended, is not watched, and not stated again.
func TestWatchNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.told()
		n, l := f.attached(t, cfg)
		go func() { l.next(t); l.conn.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), restateWait/2)
		defer cancel()
		result := make(chan error, 1)
		go func() { result <- n.Watch(ctx, bob.Bare()) }()
		l = <-f.links
		sync := l.next(t)
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) || n.watches.has(bob) {
			t.Errorf("got %v, watched %t", err, n.watches.has(bob))
		}
		l.accept(sync, "")
		synctest.Wait()
		for len(l.got) > 0 {
			if s := l.next(t); strings.Contains(s.inner, "watch") {
				t.Errorf("said %q", s.inner)
			}
		}
	})
}

// A request without a caller does not count as one that waits, so the reader stops at a full inbox.
func TestAbandonedDoesNotWait(t *testing.T) {
	l := newNode(Config{Domain: "node1.im.example"}).newLink(&opened{})
	kept := &asked{id: "a", apply: func(reply) {}, refused: make(chan struct{})}
	lost := &asked{id: "b", refused: make(chan struct{})}
	l.expect(kept)
	l.expect(lost)
	l.abandon(kept)
	if len(l.asks) != 2 || !l.asking() {
		t.Errorf("%d are kept, asking %t", len(l.asks), l.asking())
	}
	l.refuse()
	l.refuse()
	if len(l.asks) != 1 || l.asking() {
		t.Errorf("%d are kept, asking %t", len(l.asks), l.asking())
	}
	select {
	case <-lost.refused:
	default:
		t.Error("who waits was not told")
	}
}

// watchingServer answers requests of watches on one link in the order in which they come, as the server does.
type watchingServer struct {
	mu sync.Mutex
	on map[string]bool // guarded by mu; by bare JID
}

func (l *fakeLink) watchingServer() *watchingServer {
	w := &watchingServer{on: map[string]bool{}}
	go func() {
		for s := range l.got {
			verb, _, _ := strings.Cut(strings.TrimPrefix(s.inner, "<"), " ")
			_, who, _ := strings.Cut(s.inner, `jid="`)
			who, _, _ = strings.Cut(who, `"`)
			w.mu.Lock()
			if verb == "watch" || verb == "unwatch" {
				w.on[who] = verb == "watch"
			}
			w.mu.Unlock()
			l.accept(s, "")
		}
	}()
	return w
}

func (w *watchingServer) watches(who jid.JID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.on[who.String()]
}

// One user is watched and unwatched by several at a time, while links come and go: when all have returned, the server and
// the node say the same.
func TestWatchAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.told()
		n, l := f.attached(t, cfg)
		server := l.watchingServer()
		for round := range 300 {
			var wg sync.WaitGroup
			for i := range 6 {
				do := n.Watch
				if i%2 == 0 {
					do = n.Unwatch
				}
				wg.Go(func() {
					if err := do(t.Context(), bob.Bare()); err != nil {
						t.Error(err)
					}
				})
			}
			if round%3 == 0 {
				l.conn.Close()
				l = <-f.links
				server = l.watchingServer()
			}
			wg.Wait()
			synctest.Wait()
			if on := server.watches(bob.Bare()); on != n.watches.has(bob) {
				t.Fatalf("round %d: watched %t by the server, %t here", round, on, n.watches.has(bob))
			}
		}
	})
}

// The answers to several requests about one user, in all orders that matter.
func TestWatchesSettle(t *testing.T) {
	for _, c := range []struct {
		name, steps string // w: want, a: again, d: drop; 0 to 9: of that request, +: taken, -: refused, x: given up
		want        bool
		kept        int
	}{
		{"asked", "w", true, 1},
		{"taken", "w 0+", true, 1},
		{"refused", "w 0-", false, 0},
		{"a later one refused", "w 0+ w 1-", true, 1},
		{"an earlier one refused", "w w 0- 1+", true, 1},
		{"an earlier one refused, meanwhile", "w w 0-", false, 1},
		{"both refused", "w w 0- 1-", false, 0},
		{"known twice", "w w 0- 0- 0+", false, 1},
		{"dropped before the answer", "w d 0+", false, 0},
		{"dropped between two refusals", "w w 0- d 1+", false, 0},
		{"made anew", "w d w 0- 1+", true, 1},
		{"made anew and refused", "w d w 0+ 1-", false, 0},
		{"stated again", "w 0+ a 1+", true, 1},
		{"given up", "w 0+ a 1x", false, 0},
		{"given up, and asked anew", "w 0+ a w 1x 2+", true, 1},
		{"dropped, so not given up", "w 0+ a d 1x", false, 0},
		{"dropped, so not stated again", "w 0+ d a", false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w watches
			w.init()
			var list []*watching
			for _, step := range strings.Fields(c.steps) {
				r := &watching{}
				switch step {
				case "w":
					w.want(r, bob.Bare())
					list = append(list, r)
				case "a":
					if err := w.again(r, bob.Bare()); (err == nil) != w.has(bob) {
						t.Errorf("again: %v", err)
					}
					list = append(list, r)
				case "d":
					w.drop(bob.Bare())
				default:
					r, stood := list[step[0]-'0'], w.has(bob)
					if step[1] != 'x' {
						w.settle(r, step[1] == '+')
					} else if w.giveUp(r) != stood {
						t.Errorf("given up %t", !stood)
					}
				}
			}
			if w.has(bob) != c.want || len(w.m) != c.kept {
				t.Errorf("watched %t, %d kept; want %t, %d", w.has(bob), len(w.m), c.want, c.kept)
			}
		})
	}
}

// Links that end while a watch is stated again leave nothing behind once it is refused.
func TestRewatchForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		got := cfg.told()
		n, l := f.attached(t, cfg)
		go func() { l.accept(l.next(t), "") }()
		if err := n.Watch(t.Context(), bob.Bare()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.conn.Close()
			l = <-f.links
			l.accept(l.next(t), "") // sessions
			contains(t, l.next(t).inner, "<watch ")
		}
		l.conn.Close()
		l = <-f.links
		l.accept(l.next(t), "")
		l.reject(l.next(t), "forbidden", "")
		synctest.Wait()
		if len(n.watches.m) > 0 || !strings.Contains(strings.Join(*got, "|"), "refused bob@im.example") {
			t.Errorf("%d are kept, told %q", len(n.watches.m), *got)
		}
	})
}

// An announcement that is refused when its caller has gone is not stated by the next link.
func TestAnnounceAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Announce(ctx, alice); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if list := n.Announced(); len(list) != 1 {
			t.Errorf("before the answer: %v", list)
		}
		l.reject(l.next(t), "resource-constraint", "")
		synctest.Wait()
		if list := n.Announced(); len(list) > 0 {
			t.Errorf("after it: %v", list)
		}
	})
}

// A late answer to a request of the node itself is not one for the handler.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		handled := 0
		cfg.Handler = xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { handled++; return nil })
		n, l := f.attached(t, cfg)
		for _, ask := range []func(context.Context) error{
			func(ctx context.Context) error { _, err := n.Where(ctx, bob); return err },
			func(ctx context.Context) error { return n.Unwatch(ctx, bob.Bare()) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
			l.accept(l.next(t), "")
			synctest.Wait()
		}
		if handled > 0 {
			t.Errorf("%d answers for the handler", handled)
		}
	})
}
