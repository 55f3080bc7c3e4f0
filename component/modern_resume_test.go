package component

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"
)

// A connection that is cut is nothing that the application sees: what was not acknowledged is sent again as it was, in
// order, sessions are not stated again, and a request gets its answer on the next connection.
func TestResume(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		var events []string
		cfg.OnAttach = func(*Node) { events = append(events, "attach") }
		cfg.OnDetach = func(err error) { events = append(events, "detach "+err.Error()) }
		cfg.Handler = Messages(func(m Message) { events = append(events, m.Body) }, nil)
		n, l := f.attached(t, cfg)
		if g := n.Grade(); g != GradeAcked {
			t.Errorf("grade %q", g)
		}
		send(t, n, "a", "b", "c")
		if got := l.bodies(t); got != "a b c" {
			t.Errorf("got %q", got)
		}
		l.ack(1)
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "one"))
		answer := make(chan error, 1)
		go func() {
			_, err := n.SendIQ(t.Context(), stanza.IQ{Type: stanza.GetIQ, To: bob}, empty("urn:x", "q"))
			answer <- err
		}()
		l.says(t, "iq")
		l.conn.Close()
		l = <-f.links
		l.says(t, "resume", "id1", "{{ h} 1}")
		send(t, n, "d") // while there is no connection
		l.write("<resumed xmlns='urn:xmpp:sm:3' previd='id1' h='2'/>")
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m2", "two"))
		l.says(t, "message", "<body>c</body>")
		iq := l.says(t, "iq", "urn:x")
		l.says(t, "message", "<body>d</body>")
		l.accept(iq, "")
		if err := <-answer; err != nil {
			t.Error(err)
		}
		l.says(t, "r")
		l.ack(5)
		synctest.Wait()
		if got := strings.Join(events, ", "); got != "attach, one, two" {
			t.Errorf("the application saw %q", got)
		}
		if len(l.got) > 0 || len(f.links) > 0 {
			t.Error("the node says more")
		}
	})
}

// What the server sends again, because the handler had not returned when the connection was cut, is not handled again.
func TestResumeWhileHandling(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		var got []string
		cfg.Handler = Messages(func(m Message) { time.Sleep(10 * time.Second); got = append(got, m.Body) }, nil)
		_, l := f.attached(t, cfg)
		write := func(from, to int) {
			for i := from; i <= to; i++ {
				l.write(chat("bob@im.example/web", "alice@im.example/phone", fmt.Sprint("m", i), fmt.Sprint(i)))
			}
		}
		write(1, 3)
		time.Sleep(15 * time.Second) // the first is handled
		l.conn.Close()
		l = <-f.links
		l.says(t, "resume", "{{ h} 1}")
		l.write("<resumed xmlns='urn:xmpp:sm:3' previd='id1' h='0'/>")
		write(2, 4)
		l.write("<r xmlns='urn:xmpp:sm:3'/>")
		l.says(t, "a", "{{ h} 1}") // soon, although a handler runs
		for _, h := range []string{"2", "3", "4"} {
			l.says(t, "a", "{{ h} "+h+"}")
		}
		if s := strings.Join(got, " "); s != "1 2 3 4" {
			t.Errorf("handled %q", s)
		}
	})
}

// A server that cannot resume says so: the sessions are stated, then what its h does not cover is sent again with a delay.
// Requests are not, and whoever waits is told.
func TestResumeFails(t *testing.T) {
	for _, c := range []struct{ name, failed, want string }{
		{"with h", "<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", "b+delay c+delay"},
		{"without h", "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", "a+delay b+delay c+delay"},
		{"with an h that cannot be", "<failed xmlns='urn:xmpp:sm:3' h='77'/>", "a+delay b+delay c+delay"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				cfg := f.config()
				cfg.Users = []string{"im.example"}
				var events []string
				cfg.OnAttach = func(*Node) { events = append(events, "attach") }
				cfg.OnDetach = func(error) { events = append(events, "detach") }
				n, l := f.attached(t, cfg)
				send(t, n, "a")
				time.Sleep(time.Second)
				first := time.Now()
				send(t, n, "b")
				answer := make(chan error, 1)
				go func() {
					_, err := n.SendIQ(t.Context(), stanza.IQ{Type: stanza.SetIQ, To: bob}, empty("urn:x", "q"))
					answer <- err
				}()
				synctest.Wait()
				gone := stanza.Presence{Type: stanza.UnavailablePresence, From: alice, To: alice.Domain()}
				if err := n.Send(t.Context(), gone.Wrap(nil)); err != nil {
					t.Error(err)
				}
				send(t, n, "c")
				synctest.Wait()
				l.conn.Close()
				l = <-f.links
				l.says(t, "resume")
				l.write(c.failed)
				l.enable(t, "id2")
				if err := <-answer; !errors.Is(err, errLinkEnded) {
					t.Errorf("got %v", err)
				}
				l.accept(l.says(t, "iq", "sync"), "")
				if strings.HasPrefix(c.want, "b") {
					contains(t, l.says(t, "message", "<body>b</body>").inner,
						"<delay xmlns='urn:xmpp:delay' from='node1.im.example' stamp='"+first.UTC().Format("2006-01-02T15:04:05.000Z")+"'/>")
				}
				if got := l.bodies(t); got != strings.TrimPrefix(c.want, "b+delay ") && got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				synctest.Wait()
				if s := strings.Join(events, " "); s != "attach detach attach" || len(l.got) > 0 {
					t.Errorf("the application saw %q, and %d more is said", s, len(l.got))
				}
			})
		})
	}
}

// Counts that cannot be end the stream, which is not resumed.
func TestTooHigh(t *testing.T) {
	tooHigh := []string{"undefined-condition", "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='5' send-count='1'/>"}
	t.Run("in an acknowledgement", func(t *testing.T) {
		play(t, func(t *testing.T, f *fakeModern) {
			n, l := f.attached(t, f.config())
			send(t, n, "a")
			l.bodies(t)
			l.ack(5)
			l.says(t, "error", tooHigh...)
			l = (<-f.links).enable(t, "id2")
			l.says(t, "message", "<body>a</body>", "delay")
		})
	})
	t.Run("in a resumption", func(t *testing.T) {
		play(t, func(t *testing.T, f *fakeModern) {
			n, l := f.attached(t, f.config())
			send(t, n, "a")
			l.bodies(t)
			l.conn.Close()
			l = <-f.links
			l.says(t, "resume")
			l.write("<resumed xmlns='urn:xmpp:sm:3' previd='id1' h='5'/>")
			l.says(t, "error", tooHigh...)
			l = (<-f.links).enable(t, "id2")
			l.says(t, "message", "<body>a</body>", "delay")
		})
	})
	t.Run("says the server", func(t *testing.T) {
		play(t, func(t *testing.T, f *fakeModern) {
			_, l := f.attached(t, f.config())
			l.conn.Close()
			l = <-f.links
			l.says(t, "resume")
			l.write("<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><handled-count-too-high xmlns='urn:xmpp:sm:3' h='1' send-count='0'/></stream:error></stream:stream>")
			(<-f.links).enable(t, "id2")
		})
	})
}

// A stream that the server has closed is not resumed, but asked for: the server's h says what need not be sent again. A
// server that resumes it nevertheless is told that it is over.
func TestClosedStreamIsNotResumed(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		t.Run(fmt.Sprint(resumes), func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				cfg := f.config()
				detached := make(chan error, 1)
				cfg.OnDetach = func(err error) { detached <- err }
				n, l := f.attached(t, cfg)
				send(t, n, "a", "b")
				l.bodies(t)
				l.write("</stream:stream>")
				contains(t, (<-detached).Error(), "the server closed the stream")
				l = <-f.links
				l.says(t, "resume", "id1")
				if resumes {
					l.write("<resumed xmlns='urn:xmpp:sm:3' previd='id1' h='1'/>")
					for range l.got {
					}
					l = <-f.links
				} else {
					l.write("<failed xmlns='urn:xmpp:sm:3' h='1'/>")
				}
				l.enable(t, "id2")
				l.says(t, "message", "<body>b</body>", "delay")
			})
		})
	}
}

// When the server cannot be reached for as long as it would have waited, the link has ended: requests end, and OnDetach
// is called. What was sent is not lost.
func TestGraceIsOver(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		detached := make(chan time.Time, 1)
		cfg.OnDetach = func(error) { detached <- time.Now() }
		n, l := f.attached(t, cfg)
		send(t, n, "a")
		l.bodies(t)
		f.away.Store(true)
		begin := time.Now()
		l.conn.Close()
		if d := (<-detached).Sub(begin); d != 30*time.Second {
			t.Errorf("detached after %s", d)
		}
		if g := n.Grade(); g != GradeNone {
			t.Errorf("grade %q", g)
		}
		f.away.Store(false)
		l = <-f.links
		l.says(t, "resume")
		l.write("<failed xmlns='urn:xmpp:sm:3'/>")
		l.enable(t, "id2").says(t, "message", "<body>a</body>", "delay")
	})
}

// A stanza for which the server ends the stream is found, and given up: what was sent with it is not lost, and the node goes
// on.
func TestSuspects(t *testing.T) {
	for _, n := range []int{1, 3, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				node, l := f.attached(t, f.config())
				var sent []string
				for i := range n {
					sent = append(sent, fmt.Sprint("m", i))
				}
				bad := n / 2
				send(t, node, append(append(sent[:bad:bad], "bad"), sent[bad:]...)...)
				var heard []string // what the server has taken, all links together
				links := 1
				for ; len(heard) < n && links < 10; links++ {
					heard = append(heard, takeUntilBad(t, l)...)
					if len(heard) == n {
						break
					}
					l = <-f.links
					l.says(t, "resume")
					l.write("<failed xmlns='urn:xmpp:sm:3'/>")
					l.enable(t, fmt.Sprint("id", links+1))
				}
				if got := strings.Join(heard, " "); got != strings.Join(sent, " ") {
					t.Errorf("got %q after %d links", got, links)
				}
				if links > 5 {
					t.Fatalf("it took %d links", links)
				}
				send(t, node, "more")
				l.says(t, "message", "<body>more</body>")
			})
		})
	}
}

// takeUntilBad acknowledges what comes on one link, until a message that it does not take or for a while nothing comes.
// What came behind the last acknowledgement is not taken.
func takeUntilBad(t *testing.T, l *modernLink) (taken []string) {
	t.Helper()
	var open []string
	for h := 0; ; {
		var s fakeStanza
		select {
		case s = <-l.got:
		case <-time.After(time.Minute / 2):
			return taken
		}
		if s.start.Name.Local == "r" {
			l.ack(h)
			taken, open = append(taken, open...), nil
			continue
		}
		h++
		body, _, _ := strings.Cut(strings.TrimPrefix(s.inner, "<body>"), "</body>")
		if body == "bad" {
			l.write("<stream:error><invalid-from xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
			return taken
		}
		open = append(open, body)
	}
}
