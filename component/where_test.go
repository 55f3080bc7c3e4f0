package component

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

func TestWhere(t *testing.T) {
	const open = "<where xmlns='urn:patchbay:sessions:1' jid='alice@im.example'>"
	tests := []struct {
		name, inner string
		want        []string
	}{
		{"nowhere", open + "</where>", nil},
		{"two", open + `<session resource='phone' node='node1.im.example' server='hub1.im.example' priority='-5' since='2026-11-22T14:07:31Z' state='online'/>` +
			`<session resource='a &amp; b' node='node2.im.example' server='hub2.im.example' priority='127' since='2026-11-22T15:07:31.25+01:00' state='away'/></where>`,
			[]string{"alice@im.example/phone node1.im.example hub1.im.example -5 2026-11-22T14:07:31Z false",
				"alice@im.example/a & b node2.im.example hub2.im.example 127 2026-11-22T14:07:31.25Z true"}},
		{"only the name", open + "<session resource='phone'/><x xmlns='urn:x'/></where>", []string{"alice@im.example/phone   0 0001-01-01T00:00:00Z false"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				n, l := f.attached(t, f.config())
				asked := make(chan fakeStanza, 1)
				go func() { s := l.next(t); asked <- s; l.accept(s, tt.inner) }()
				list, err := n.Where(t.Context(), alice.Bare())
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, p := range list {
					got = append(got, fmt.Sprint(p.JID, " ", p.Node, " ", p.Server, " ", p.Priority, " ", p.Since.UTC().Format(time.RFC3339Nano), " ", p.Away))
				}
				if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				s := <-asked
				if s.attr("to") != "im.example" || s.attr("type") != "get" || s.attr("from") != "node1.im.example" ||
					s.inner != `<where xmlns="urn:patchbay:sessions:1" jid="alice@im.example"></where>` {
					t.Errorf("asked %+v %s", s.start, s.inner)
				}
			})
		})
	}
}

// An answer that is an error, or cannot be read, is an error; a link that drops is none.
func TestWhereFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		if _, err := n.Where(t.Context(), n.Domain()); err == nil {
			t.Error("asked for a domain")
		}
		go func() {
			l.reject(l.next(t), "remote-server-timeout", "")
			l.accept(l.next(t), "<where xmlns='urn:patchbay:sessions:1'><session/></where>")
			l.next(t)
			l.conn.Close()
			l = <-f.links
			l.accept(l.next(t), "")
			l.accept(l.next(t), "<where xmlns='urn:patchbay:sessions:1'/>")
		}()
		if _, err := n.Where(t.Context(), alice); !errors.Is(err, stanza.Error{Condition: stanza.RemoteServerTimeout}) {
			t.Errorf("got %v", err)
		}
		if _, err := n.Where(t.Context(), alice); err == nil {
			t.Error("took a session without a resource")
		}
		if list, err := n.Where(t.Context(), alice); err != nil || len(list) > 0 {
			t.Errorf("got %v, %v", list, err)
		}
	})
}

// told lists what OnSession was called with.
func (c *Config) told() *[]string {
	var got []string
	c.OnSession = func(p Located) {
		got = append(got, fmt.Sprint(p.JID, " ", p.Node, " ", p.Priority, " ", p.Away, " ", p.Ended, p.Why))
	}
	c.OnAttach = func(*Node) { got = append(got, "attached") }
	c.OnDetach = func(error) { got = append(got, "detached") }
	c.OnRefused = func(j jid.JID, err error) { got = append(got, fmt.Sprint("refused ", j, " ", err)) }
	return &got
}

func sessionNotice(from, typ, rest string) string {
	if typ != "" {
		typ = " type='" + typ + "'"
	}
	return "<presence from='" + from + "' to='node1.im.example'" + typ + "><priority>3</priority><session xmlns='urn:patchbay:sessions:1' " + rest + "/></presence>"
}

// serve answers requests of watches with results and gives them in short: "watch alice@im.example".
func (l *fakeLink) servesWatches(t *testing.T) <-chan string {
	out := make(chan string, 1<<15)
	go func() {
		for s := range l.got {
			verb, _, _ := strings.Cut(strings.TrimPrefix(s.inner, "<"), " ")
			_, j, _ := strings.Cut(s.inner, `jid="`)
			j, _, _ = strings.Cut(j, `"`)
			out <- strings.TrimSpace(verb + " " + j)
			l.accept(s, "")
		}
	}()
	return out
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		got := cfg.told()
		handled := 0
		cfg.Handler = countPresence(&handled)
		n, l := f.attached(t, cfg)
		said := l.servesWatches(t)
		if err := n.Watch(t.Context(), bob.Bare()); err != nil {
			t.Fatal(err)
		}
		if s := <-said; s != "watch bob@im.example" {
			t.Errorf("said %q", s)
		}
		l.write(sessionNotice("bob@im.example/web", "", "node='node2.im.example' priority='3' state='online'"))
		l.write(sessionNotice("erin@im.example/x", "", "node='node2.im.example'")) // not watched
		l.write(`<presence from='bob@im.example/web' to='node1.im.example'/>`)     // ordinary presence, for the handler
		l.write(sessionNotice("bob@im.example/web", "", "node='node2.im.example' priority='3' state='away'"))
		l.write(sessionNotice("bob@im.example/web", "unavailable", "node='node2.im.example' why='node-left'"))
		l.write(sessionNotice("bob@im.example/web", "subscribe", "")) // no notice
		synctest.Wait()
		if err := n.Unwatch(t.Context(), bob.Bare()); err != nil {
			t.Fatal(err)
		}
		if s := <-said; s != "unwatch bob@im.example" {
			t.Errorf("said %q", s)
		}
		l.write(sessionNotice("bob@im.example/web", "", "node='node2.im.example'")) // was under way
		synctest.Wait()
		want := "attached|bob@im.example/web node2.im.example 3 false false|bob@im.example/web node2.im.example 3 true false|" +
			"bob@im.example/web node2.im.example 0 false truenode-left"
		if s := strings.Join(*got, "|"); s != want {
			t.Errorf("told  %q\nwant %q", s, want)
		}
		if handled != 2 {
			t.Errorf("%d presences for the handler, want 2", handled)
		}
	})
}

func TestWatchRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		quiet, _ := f.attached(t, cfg)
		if err := quiet.Watch(t.Context(), bob.Bare()); err == nil {
			t.Error("watches with nobody to tell")
		}
		got := cfg.told()
		n, l := f.attached(t, cfg)
		for _, j := range []jid.JID{bob, bob.Domain()} {
			if n.Watch(t.Context(), j) == nil || n.Unwatch(t.Context(), j) == nil {
				t.Errorf("watches %s", j)
			}
		}
		go func() { l.reject(l.next(t), "resource-constraint", "") }()
		err := n.Watch(t.Context(), bob.Bare())
		if !errors.Is(err, stanza.Error{Condition: stanza.ResourceConstraint}) {
			t.Errorf("got %v", err)
		}
		l.write(sessionNotice("bob@im.example/web", "", ""))
		l.conn.Close()
		l = <-f.links
		said := l.servesWatches(t)
		synctest.Wait()
		if s := strings.Join(*got, "|"); s != "attached|detached|attached" {
			t.Errorf("told %q", s)
		}
		if s := <-said; s != "sessions" || len(said) > 0 {
			t.Errorf("said %q and %d more", s, len(said))
		}
	})
}
