package component

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

func readAll(m xmlstream.Marshaler) []xml.Token {
	list, err := xmlstream.ReadAll(m.TokenReader())
	if err != nil {
		panic(err)
	}
	return list
}

// stated gives a statement of the node in short: "im.example start +alice@im.example/phone(5) -bob@im.example/web".
func stated(t *testing.T, s fakeStanza) string {
	t.Helper()
	var in struct {
		XMLName xml.Name `xml:"urn:patchbay:sessions:1 sessions"`
		Sync    string   `xml:"sync,attr"`
		Items   []struct {
			XMLName  xml.Name
			JID      string `xml:"jid,attr"`
			Priority string `xml:"priority,attr"`
		} `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(s.inner), &in); err != nil {
		t.Fatalf("%v in %q", err, s.inner)
	}
	words := []string{s.attr("to"), in.Sync}
	for _, it := range in.Items {
		words = append(words, map[string]string{"announce": "+", "withdraw": "-"}[it.XMLName.Local]+it.JID+it.Priority)
	}
	return strings.Join(words, " ")
}

// answers has the server take every statement, and gives what was stated.
func (l *fakeLink) answers(t *testing.T) <-chan string {
	out := make(chan string, 1000)
	go func() {
		for s := range l.got {
			out <- stated(t, s)
			l.accept(s, "<sessions xmlns='urn:patchbay:sessions:1'/>")
		}
	}()
	return out
}

// TestRestateDomains: after a reconnect one sync holds the sessions of all domains, for its end withdraws all others.
func TestRestateDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.Users = []string{"im.example", "other.example", "third.example"}
		n, l := f.attached(t, cfg)
		said := l.answers(t)
		if err := n.Announce(t.Context(), alice, jid.MustParse("zoe@third.example/pc")); err != nil {
			t.Fatal(err)
		}
		<-said
		<-said
		l.conn.Close()
		said = (<-f.links).answers(t)
		for _, want := range []string{"im.example start +alice@im.example/phone", "other.example more", "third.example end +zoe@third.example/pc"} {
			if got := <-said; got != want {
				t.Errorf("the node says %q, not %q", got, want)
			}
		}
	})
}

func TestAnnounceAndWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		said := l.answers(t)
		other := jid.MustParse("zoe@other.example/pc")
		steps := []struct {
			do   func() error
			want []string
		}{
			{func() error { return n.Announce(t.Context(), alice, other, bob) },
				[]string{"im.example  +alice@im.example/phone +bob@im.example/web", "other.example  +zoe@other.example/pc"}},
			{func() error { return n.AnnounceWith(t.Context(), []Session{{bob, -1}, {erin, 5}}) },
				[]string{"im.example  +bob@im.example/web-1 +erin@im.example/phone5"}},
			{func() error { return n.Withdraw(t.Context(), alice, other) },
				[]string{"im.example  -alice@im.example/phone", "other.example  -zoe@other.example/pc"}},
			{func() error { return n.Announce(t.Context()) }, nil},
		}
		for _, s := range steps {
			if err := s.do(); err != nil {
				t.Error(err)
			}
			for _, w := range s.want {
				if got := <-said; got != w {
					t.Errorf("got %q, want %q", got, w)
				}
			}
		}
		if got := fmt.Sprint(n.Announced()); got != "[{bob@im.example/web -1} {erin@im.example/phone 5}]" {
			t.Errorf("announced: %s", got)
		}
	})
}

func TestAnnounceRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		go func() {
			l.accept(l.next(t), "")
			l.reject(l.next(t), "forbidden", "<item xmlns='urn:patchbay:sessions:1' n='1'/>")
			l.reject(l.next(t), "not-allowed", "")
		}()
		if err := n.Announce(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		var ie *ItemError
		err := n.Announce(t.Context(), alice, bob, erin)
		if !errors.As(err, &ie) || ie.Index != 1 || !ie.JID.Equal(bob) || !errors.Is(err, stanza.Error{Condition: stanza.Forbidden}) {
			t.Errorf("got %v", err)
		}
		if err.Error() != "announce bob@im.example/web: forbidden: because" {
			t.Errorf("got %q", err)
		}
		err = n.Announce(t.Context(), erin)
		if !errors.Is(err, stanza.Error{Condition: stanza.NotAllowed}) || errors.As(err, &ie) && ie.Index != 1 {
			t.Errorf("got %v", err)
		}
		err = n.Announce(t.Context(), alice, alice.Bare())
		if !errors.As(err, &ie) || ie.Index != 1 || !errors.Is(err, stanza.Error{Condition: stanza.JIDMalformed}) {
			t.Errorf("got %v", err)
		}
		if got := fmt.Sprint(n.Announced()); got != "[{alice@im.example/phone 0}]" {
			t.Errorf("announced: %s", got)
		}
	})
}

func many(count int) []jid.JID {
	out := make([]jid.JID, count)
	for i := range out {
		out[i] = jid.MustParse(fmt.Sprintf("u%04d@im.example/r", i))
	}
	return out
}

func TestRestateInBatches(t *testing.T) {
	tests := []struct {
		count int
		want  []string // sync word and number of items
	}{
		{0, []string{"all 0"}},
		{1, []string{"all 1"}},
		{1000, []string{"all 1000"}},
		{1001, []string{"start 1000", "end 1"}},
		{2500, []string{"start 1000", "more 1000", "end 500"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.count), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				n, l := f.attached(t, f.config())
				said := l.answers(t)
				jids := many(tt.count)
				if err := n.Announce(t.Context(), jids...); err != nil {
					t.Fatal(err)
				}
				for range (tt.count + 999) / 1000 {
					<-said
				}
				l.conn.Close()
				l = <-f.links
				said = l.answers(t)
				var all []string
				for _, w := range tt.want {
					words := strings.Fields(<-said)
					items := words[2:]
					if got := fmt.Sprint(words[1], " ", len(items)); got != w {
						t.Errorf("got %q, want %q", got, w)
					}
					all = append(all, items...)
				}
				slices.Sort(all)
				if len(slices.Compact(all)) != tt.count {
					t.Errorf("stated %d different sessions", len(all))
				}
			})
		})
	}
}

// What cannot be restated is reported; the rest is.
func TestRestateRefusedAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		events := make(chan string, 10)
		cfg.OnReplaced = func(j jid.JID, by string) { events <- "replaced " + j.String() + " " + by }
		cfg.OnRefused = func(j jid.JID, err error) { events <- "refused " + j.String() + " " + err.Error() }
		n, l := f.attached(t, cfg)
		said := l.answers(t)
		if err := n.Announce(t.Context(), alice, bob, erin); err != nil {
			t.Fatal(err)
		}
		<-said
		l.conn.Close()
		l = <-f.links
		s := l.next(t)
		if got := stated(t, s); got != "im.example all +alice@im.example/phone +bob@im.example/web +erin@im.example/phone" {
			t.Errorf("got %q", got)
		}
		l.reject(s, "forbidden", "<item xmlns='urn:patchbay:sessions:1' n='1'/>")
		s = l.next(t)
		if got := stated(t, s); got != "im.example all +alice@im.example/phone +erin@im.example/phone" {
			t.Errorf("got %q", got)
		}
		l.accept(s, "<sessions xmlns='urn:patchbay:sessions:1'><replaced jid='alice@im.example/phone' node='node2.im.example'/></sessions>")
		for _, want := range []string{"refused bob@im.example/web forbidden: because", "replaced alice@im.example/phone node2.im.example"} {
			if got := <-events; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got := fmt.Sprint(n.Announced()); got != "[{erin@im.example/phone 0}]" {
			t.Errorf("announced: %s", got)
		}
	})
}

const takenByNode2 = `<presence type='unavailable' from='alice@im.example/phone' to='node1.im.example'>` +
	`<replaced xmlns='urn:patchbay:sessions:1' node='node2.im.example'/></presence>`

// A session that an operator has ended is held no longer, and withdrawn: it may have been stated meanwhile.
func TestKickedPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		events := make(chan string, 10)
		cfg.OnReplaced = func(j jid.JID, by string) { events <- j.String() + " by " + strconv.Quote(by) }
		n, l := f.attached(t, cfg)
		go func() { l.accept(l.next(t), "") }()
		if err := n.Announce(t.Context(), alice, bob); err != nil {
			t.Fatal(err)
		}
		l.write(`<presence type='unavailable' from='alice@im.example/phone' to='node1.im.example'>` +
			`<kicked xmlns='urn:patchbay:sessions:1'/><status>stolen</status></presence>`)
		if got := <-events; got != `alice@im.example/phone by ""` {
			t.Errorf("got %q", got)
		}
		bye := l.next(t)
		if at := attr(bye.start, "type") + " " + attr(bye.start, "from") + " " + attr(bye.start, "to"); at != "unavailable alice@im.example/phone im.example" {
			t.Errorf("sent %s %s", bye.start.Name.Local, at)
		}
		if got := fmt.Sprint(n.Announced()); got != "[{bob@im.example/web 0}]" {
			t.Errorf("announced: %s", got)
		}
	})
}

// A session that another node has taken is held no longer, and not stated again. That it is told twice is no presence of the user.
func TestReplacedPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		events := make(chan string, 10)
		handled := make(chan string, 10)
		cfg.Handler = xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			handled <- attr(*start, "from")
			return nil
		})
		cfg.OnReplaced = func(j jid.JID, by string) { events <- j.String() + " " + by }
		n, l := f.attached(t, cfg)
		go func() { l.accept(l.next(t), "") }()
		if err := n.Announce(t.Context(), alice, bob); err != nil {
			t.Fatal(err)
		}
		// One inside of something else is no notice.
		l.write(`<presence type='unavailable' from='bob@im.example/web' to='node1.im.example'><x xmlns='urn:x'>` +
			`<replaced xmlns='urn:patchbay:sessions:1' node='node2.im.example'/></x></presence>`)
		l.write(takenByNode2)
		if got := <-events; got != "alice@im.example/phone node2.im.example" {
			t.Errorf("got %q", got)
		}
		l.write(takenByNode2)
		synctest.Wait()
		if len(handled) != 1 || <-handled != "bob@im.example/web" || len(events) > 0 {
			t.Errorf("%d more are handled, and %d told", len(handled), len(events))
		}
		l.conn.Close()
		l = <-f.links
		if got := stated(t, l.next(t)); got != "im.example all +bob@im.example/web" {
			t.Errorf("got %q", got)
		}
	})
}

// A notice that comes while the same session is being announced may tell of what was before or after: the server is
// asked, and again if another comes meanwhile.
func TestReplacedWhileAnnouncing(t *testing.T) {
	where := func(node string) string {
		return `<where xmlns='urn:patchbay:sessions:1' jid='alice@im.example/phone'><session resource='phone' node='` + node + `' state='online'/></where>`
	}
	const announce, sync = "announce", "sync"
	tests := []struct {
		name   string
		during string
		script func(t *testing.T, l *fakeLink)
		want   int // sessions held at the end
	}{
		{"before our log-in", announce, func(t *testing.T, l *fakeLink) { l.accept(l.next(t), where("node1.im.example")) }, 1},
		{"after our log-in", announce, func(t *testing.T, l *fakeLink) { l.accept(l.next(t), where("node2.im.example")) }, 0},
		{"another resource is here", announce, func(t *testing.T, l *fakeLink) {
			l.accept(l.next(t), `<where xmlns='urn:patchbay:sessions:1'><session resource='web' node='node1.im.example'/><session resource='phone' node='node2.im.example'/></where>`)
		}, 0},
		{"and then it ended", announce, func(t *testing.T, l *fakeLink) {
			l.accept(l.next(t), "<where xmlns='urn:patchbay:sessions:1' jid='alice@im.example/phone'/>")
		}, 0},
		{"before, and after", announce, func(t *testing.T, l *fakeLink) {
			s := l.next(t)
			l.write(takenByNode2)
			l.accept(s, where("node1.im.example"))
			l.accept(l.next(t), where("node2.im.example"))
		}, 0},
		{"a server that cannot tell", announce, func(t *testing.T, l *fakeLink) { l.reject(l.next(t), "feature-not-implemented", "") }, 1},
		{"before our sync", sync, func(t *testing.T, l *fakeLink) { l.accept(l.next(t), where("node1.im.example")) }, 1},
		{"after our sync", sync, func(t *testing.T, l *fakeLink) { l.accept(l.next(t), where("node2.im.example")) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				n, l := f.attached(t, f.config())
				go func() {
					if tt.during == sync {
						l.accept(l.next(t), "")
						l.conn.Close()
						l = <-f.links
					}
					s := l.next(t)
					l.write(takenByNode2)
					l.accept(s, "")
					tt.script(t, l)
				}()
				if err := n.Announce(t.Context(), alice); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				time.Sleep(time.Minute) // of the bubble's clock: the reconnect
				if got := len(n.Announced()); got != tt.want {
					t.Errorf("%d sessions, want %d", got, tt.want)
				}
			})
		})
	}
}

// A link that drops under an announcement is no error: the restatement and a repetition carry it.
func TestAnnounceSurvivesReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		result := make(chan error)
		go func() { result <- n.Announce(t.Context(), alice) }()
		l.next(t)
		l.conn.Close()
		l = <-f.links
		said := l.answers(t)
		if err := <-result; err != nil {
			t.Error(err)
		}
		for _, want := range []string{"im.example all +alice@im.example/phone", "im.example  +alice@im.example/phone"} {
			if got := <-said; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got := len(n.Announced()); got != 1 {
			t.Errorf("%d sessions", got)
		}
	})
}
