package component

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"
)

const lastPing = "<iq type='get' id='p9' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>"

// endCases are what the node does with a message that stands before the server's last ping and the end of its stream.
var endCases = []struct {
	name string
	do   func(*Node) error // the handler
	want string            // what the node says, up to the end of its own stream
	took time.Duration
}{
	{"nothing", func(*Node) error { return nil }, "iq p9 result", 0},
	{"a handler that takes time", func(*Node) error { time.Sleep(time.Second); return nil }, "iq p9 result", time.Second},
	{"a handler that answers", func(n *Node) error { return n.Send(context.Background(), chatOf("re")) }, "message, iq p9 result", 0},
	{"a handler that takes too long", func(*Node) error { time.Sleep(time.Minute); return nil }, "", closeWait},
	{"a handler that asks", func(n *Node) error {
		_, err := n.SendIQ(context.Background(), stanza.IQ{Type: stanza.GetIQ, To: bob}, empty("urn:x", "q"))
		if !errors.Is(err, errLinkEnded) {
			return errors.Join(errors.New("asked, and got"), err)
		}
		return nil
	}, "iq, iq p9 result", 0},
	{"a handler that asks again and again", func(n *Node) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := n.Where(ctx, bob); !errors.Is(err, context.DeadlineExceeded) {
			return errors.Join(errors.New("asked, and got"), err)
		}
		return nil
	}, "iq, iq p9 result", time.Second},
}

// What came before the end of the server's stream is handled and answered before the node ends its own (RFC 6120 4.4).
func TestServerClosesBehindStanzas(t *testing.T) {
	for _, tt := range endCases {
		t.Run("plain, "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				cfg, self := f.config(), make(chan *Node, 1)
				cfg.Handler = Messages(func(Message) { report(t, tt.do(<-self)) }, nil)
				n, l := f.attached(t, cfg)
				self <- n
				begin := time.Now()
				l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "a"))
				synctest.Wait()
				l.write(lastPing)
				l.ends(t, tt.want, begin.Add(tt.took))
			})
		})
		t.Run("modern, "+tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				cfg, self := f.config(), make(chan *Node, 1)
				cfg.Handler = Messages(func(Message) { report(t, tt.do(<-self)) }, nil)
				n, l := f.attached(t, cfg)
				self <- n
				begin := time.Now()
				l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "a"))
				synctest.Wait()
				l.write(lastPing)
				l.ends(t, tt.want, begin.Add(tt.took))
			})
		})
	}
}

func report(t *testing.T, err error) {
	if err != nil {
		t.Error(err)
	}
}

// ends reads stanzas up to the end of the node's stream.
func (l *fakeLink) ends(t *testing.T, want string, at time.Time) {
	t.Helper()
	var said []string
	for s := range l.got {
		switch {
		case s.start.Name.Space == "urn:xmpp:sm:3":
		case s.attr("id") == "p9":
			said = append(said, s.start.Name.Local+" p9 "+s.attr("type"))
		default:
			said = append(said, s.start.Name.Local)
		}
	}
	if got := strings.Join(said, ", "); got != want || l.tail != "close" || !time.Now().Equal(at) {
		t.Errorf("the node says %q, want %q, and ends by %q %s later than it should", got, want, l.tail, time.Since(at))
	}
}
