package component

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

func countPresence(count *int) xmpp.Handler {
	return xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		if start.Name.Local == "presence" {
			*count++
		}
		return nil
	})
}

// Watches are stated again by each link, after the sessions; what is refused then is told, and not stated any more.
func TestRewatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		got := cfg.told()
		n, l := f.attached(t, cfg)
		said := l.servesWatches(t)
		for _, j := range []jid.JID{alice, bob, erin} {
			if err := n.Watch(t.Context(), j.Bare()); err != nil {
				t.Fatal(err)
			}
			<-said
		}
		l.conn.Close()
		l = <-f.links
		l.accept(l.next(t), "") // sessions
		var asked []fakeStanza
		for range 3 { // all are asked before the first is answered
			asked = append(asked, l.next(t))
		}
		l.accept(asked[0], "")
		l.reject(asked[1], "forbidden", "")
		l.accept(asked[2], "")
		l.write(sessionNotice("alice@im.example/x", "", "node='node3.im.example'") + sessionNotice("bob@im.example/x", "", ""))
		synctest.Wait()
		if s := strings.Join(*got, "|"); s != "attached|detached|attached|refused bob@im.example forbidden: because|alice@im.example/x node3.im.example 0 false false" {
			t.Errorf("told %q", s)
		}
		l.conn.Close()
		l = <-f.links
		said = l.servesWatches(t)
		for _, want := range []string{"sessions", "watch alice@im.example", "watch erin@im.example"} {
			if s := <-said; s != want {
				t.Errorf("said %q, want %q", s, want)
			}
		}
		synctest.Wait()
		if len(said) > 0 {
			t.Errorf("and said %q", <-said)
		}
	})
}

// 10 000 watches do not take 10 000 round trips, and Send does not wait for them.
func TestRewatchMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 10_000
		f := newFakeServer()
		cfg := f.config()
		cfg.told()
		n, l := f.attached(t, cfg)
		said := l.servesWatches(t)
		for i := range count {
			if err := n.Watch(t.Context(), jid.MustParse(fmt.Sprintf("u%05d@im.example", i))); err != nil {
				t.Fatal(err)
			}
			<-said
		}
		l.conn.Close()
		l = <-f.links
		l.accept(l.next(t), "")
		first := l.next(t)
		synctest.Wait()
		if len(l.got) != watchWindow-1 {
			t.Errorf("%d requests are open, want %d", len(l.got)+1, watchWindow)
		}
		if err := n.Send(t.Context(), chatOf("x")); err != nil {
			t.Error(err)
		}
		begin, answered := time.Now(), 0
		for s := first; ; s = l.next(t) {
			if s.start.Name.Local == "iq" {
				if answered++; answered%watchWindow == 0 {
					time.Sleep(50 * time.Millisecond)
				}
				l.accept(s, "")
			}
			if answered == count {
				break
			}
		}
		if d := time.Since(begin); d > 10*time.Second {
			t.Errorf("watched again after %s", d)
		}
	})
}

// A link that drops under a Watch is no error; a watch that ends while it is stated again has ended.
func TestWatchSurvivesReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.told()
		n, l := f.attached(t, cfg)
		result := make(chan error)
		go func() { result <- n.Watch(t.Context(), bob.Bare()) }()
		l.next(t)
		l.conn.Close()
		l = <-f.links
		said := l.servesWatches(t)
		if err := <-result; err != nil {
			t.Error(err)
		}
		for _, want := range []string{"sessions", "watch bob@im.example"} {
			if s := <-said; s != want {
				t.Errorf("said %q, want %q", s, want)
			}
		}
		l.conn.Close()
		l = <-f.links
		l.accept(l.next(t), "")
		watch := l.next(t)
		go func() { result <- n.Unwatch(t.Context(), bob.Bare()) }()
		l.accept(l.next(t), "") // the unwatch; the watch is answered last
		if err := <-result; err != nil {
			t.Error(err)
		}
		l.accept(watch, "")
		synctest.Wait()
		if len(l.got) > 0 || n.watches.has(bob) {
			t.Errorf("said %d more, watched %t", len(l.got), n.watches.has(bob))
		}
	})
}

// A link that drops under an Unwatch has ended the watch, and the next does not state it.
func TestUnwatchSurvivesReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.told()
		n, l := f.attached(t, cfg)
		go func() { l.accept(l.next(t), ""); l.next(t); l.conn.Close() }()
		if err := errors.Join(n.Watch(t.Context(), bob.Bare()), n.Unwatch(t.Context(), bob.Bare())); err != nil {
			t.Error(err)
		}
		l = <-f.links
		said := l.servesWatches(t)
		<-said
		synctest.Wait()
		if len(said) > 0 {
			t.Errorf("said %q", <-said)
		}
	})
}
