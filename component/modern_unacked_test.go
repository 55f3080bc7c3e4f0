package component

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Send waits when too much is not acknowledged, and ctx ends the waiting.
func TestUnacked(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		cfg.Unacked = 1000
		n, l := f.attached(t, cfg)
		big := strings.Repeat("x", 1000)
		send(t, n, big)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Send(ctx, chatOf("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		sent := make(chan error, 1)
		go func() { sent <- n.Send(t.Context(), chatOf("c")) }()
		l.bodies(t)
		synctest.Wait()
		if len(sent) > 0 {
			t.Error("there was no room")
		}
		l.ack(1)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		l.says(t, "message", "<body>c</body>")
	})
}

// A handler that sends more than may be unacknowledged does not stop the node: while nobody reads, nobody waits.
func TestUnackedWhileTheInboxIsFull(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		cfg.Unacked = 1000
		var n *Node
		cfg.OnAttach = func(got *Node) { n = got }
		handled := 0
		cfg.Handler = Messages(func(m Message) {
			if handled++; handled == 1 {
				time.Sleep(time.Second)
			}
			if err := n.Send(context.Background(), chatOf(strings.Repeat("y", 600))); err != nil {
				t.Error(err)
			}
		}, nil)
		_, l := f.attached(t, cfg)
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			l.flood(2 * inboxLimit)
		}()
		go func() { // acknowledges whatever has come, when it can
			h := 0
			for s := range l.got {
				if s.start.Name.Local == "message" {
					h++
				} else if s.start.Name.Local == "r" {
					<-flooded
					l.ack(h)
				}
			}
		}()
		<-flooded
		time.Sleep(time.Minute)
		synctest.Wait()
		if handled < 2*inboxLimit/110_000 {
			t.Errorf("%d messages were handled", handled)
		}
	})
}

// Flush returns when the server has acknowledged what was sent before, also over a resumption and over a restart.
func TestFlushAcked(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		n, l := f.attached(t, f.config())
		if err := n.Flush(t.Context()); err != nil {
			t.Error(err) // nothing was sent
		}
		l.says(t, "r")
		send(t, n, "a")
		done := make(chan error, 1)
		go func() { done <- n.Flush(t.Context()) }()
		begin := time.Now()
		l.bodies(t)
		if d := time.Since(begin); d != 0 {
			t.Errorf("asked after %s", d)
		}
		l.ack(0)
		send(t, n, "b")
		l.bodies(t)
		l.conn.Close()
		l = <-f.links
		l.says(t, "resume")
		l.write("<failed xmlns='urn:xmpp:sm:3'/>")
		l.enable(t, "id2")
		if got := l.bodies(t); got != "a+delay b+delay" {
			t.Errorf("got %q", got)
		}
		synctest.Wait()
		if len(done) > 0 {
			t.Error("flushed too early")
		}
		l.ack(2)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Close ends the stream behind all that was sent.
func TestCloseModern(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		n, l := f.attached(t, f.config())
		send(t, n, "a")
		begin := time.Now()
		n.Close()
		l.says(t, "message")
		for range l.got {
		}
		if l.tail != "close" || time.Since(begin) != 0 {
			t.Errorf("ended by %q after %s", l.tail, time.Since(begin))
		}
	})
	play(t, func(t *testing.T, f *fakeModern) { // at once, when run has hardly begun
		go func() { (<-f.links).enable(t, "id1") }()
		n, err := Dial(t.Context(), f.config())
		if err != nil {
			t.Fatal(err)
		}
		n.cancel(ErrClosed) // as Close does before it looks for the link
		begin := time.Now()
		n.Close()
		if d := time.Since(begin); d != 0 {
			t.Errorf("close took %s", d)
		}
	})
	for _, away := range []bool{true, false} {
		play(t, func(t *testing.T, f *fakeModern) {
			n, l := f.attached(t, f.config())
			f.away.Store(away)
			l.conn.Close()
			time.Sleep(time.Second) // nobody answers <resume/>
			begin := time.Now()
			n.Close()
			if d := time.Since(begin); d > closeWait {
				t.Errorf("close took %s", d)
			}
		})
	}
}

// A silent connection is asked by an <r/>, and given up; the stream is resumed.
func TestSilentModern(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		_, l := f.attached(t, f.config())
		l.says(t, "r")
		l.ack(0)
		l.says(t, "r")
		begin := time.Now()
		(<-f.links).says(t, "resume", "id1")
		if d := time.Since(begin); d > silentDead {
			t.Errorf("given up after %s", d)
		}
	})
}

// A handler that sends while sessions are stated again does not wait for the server's answer, which comes behind what is
// to be handled first.
func TestHandlerSendsWhileRestating(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		cfg.Users = []string{"im.example"}
		self := make(chan *Node, 1)
		cfg.Handler = Messages(func(m Message) {
			if err := (<-self).Send(context.Background(), chatOf("re "+m.Body)); err != nil {
				t.Error(err)
			}
		}, nil)
		n, l := f.attached(t, cfg)
		self <- n
		send(t, n, "a")
		l.bodies(t)
		l.conn.Close()
		l = <-f.links
		l.says(t, "resume")
		l.write("<failed xmlns='urn:xmpp:sm:3'/>")
		l.enable(t, "id2")
		sync := l.says(t, "iq", "sync")
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "b") + "<r xmlns='urn:xmpp:sm:3'/>")
		acked, said := false, []string(nil)
		for !acked || len(said) < 2 {
			switch s := l.says(t, ""); s.start.Name.Local {
			case "a":
				acked = acked || s.attr("h") == "1"
			case "message":
				said = append(said, s.inner)
			}
		}
		if !strings.HasPrefix(said[0], "<body>a</body><delay") || said[1] != "<body>re b</body>" {
			t.Errorf("got %q", said)
		}
		l.accept(sync, "")
	})
}
