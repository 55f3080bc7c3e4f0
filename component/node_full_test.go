package component

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"
)

// flood writes messages of 100 kB until they are so many bytes together, or the link ends.
func (l *fakeLink) flood(bytes int) {
	m := chat("bob@im.example/web", "alice@im.example/phone", "", strings.Repeat("x", 100_000))
	for n := 0; n < bytes; n += len(m) {
		l.write(m)
	}
}

// A handler that is behind may still ask the server: the answer is read, although more waits than is read otherwise. When
// it lies behind too much the request ends with an error, and the node goes on.
func TestAskWhileTheInboxIsFull(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind int // bytes before the answer
		want   error
	}{
		{"the answer is near", inboxLimit + 1<<20, nil},
		{"the answer is far", askLimit + 1<<20, ErrBehind},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				cfg := f.config()
				var node *Node
				cfg.OnAttach = func(n *Node) { node = n }
				begin, result, handled := make(chan struct{}), make(chan error, 1), 0
				cfg.Handler = Messages(func(m Message) {
					if handled++; handled == 1 {
						<-begin
						_, err := node.SendIQ(context.Background(), stanza.IQ{Type: stanza.GetIQ, To: bob}, empty("urn:x", "q"))
						result <- err
					}
				}, nil)
				_, l := f.attached(t, cfg)
				go func() {
					l.flood(c.behind)
					l.accept(l.next(t), "")
				}()
				synctest.Wait() // the reader has stopped
				close(begin)
				if err := <-result; !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				synctest.Wait()
				if handled < c.behind/110_000 {
					t.Errorf("%d messages were handled", handled)
				}
			})
		})
	}
}

// A handler that sends over a link that is dead, while the inbox is full, does not keep the node from attaching again.
func TestSendOnADeadLinkWhileTheInboxIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var node *Node
		cfg.OnAttach = func(n *Node) { node = n }
		begin, result, first := make(chan struct{}), make(chan error, 1), true
		cfg.Handler = Messages(func(m Message) {
			if first {
				first = false
				<-begin
				result <- node.Send(context.Background(), Message{Body: "answer", Message: stanza.Message{To: bob}}.TokenReader())
			}
		}, nil)
		_, l := f.attached(t, cfg)
		go l.flood(2 * inboxLimit)
		synctest.Wait() // the reader has stopped
		l.conn.Close()
		close(begin)
		again := <-f.links
		again.accept(again.next(t), "") // the sessions are restated
		if err := <-result; err != nil {
			t.Error(err)
		}
		contains(t, again.next(t).inner, "answer")
	})
}
