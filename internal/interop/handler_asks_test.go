package interop

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/fault"
)

func pingPayload() xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:ping", Local: "ping"}})
}

// asker is a node of the SDK whose handler asks, while more than a window of messages has come.
type asker struct {
	t      *testing.T
	node   *component.Node
	flood  chan struct{} // closed when all messages are sent
	during func()        // called when the first question is on its way; may be nil

	mu    sync.Mutex
	heard []string // guarded by mu
	asked []error  // guarded by mu: what came of the questions
}

// handle asks at the first message, in all the ways that an application may.
func (a *asker) handle(m component.Message) {
	a.mu.Lock()
	a.heard = append(a.heard, m.Body)
	first := len(a.heard) == 1
	a.mu.Unlock()
	if !first {
		return
	}
	<-a.flood
	ctx, cancel := context.WithTimeout(context.Background(), patience/4)
	defer cancel()
	var all []error
	note := func(what string, err error) {
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, err)
	}
	if a.during != nil {
		a.during()
	}
	eve := jid.MustParse("eve@im.example/web")
	note("announce", a.node.Announce(ctx, eve))
	_, err := a.node.Where(ctx, eve)
	note("where", err)
	note("withdraw", a.node.Withdraw(ctx, eve))
	_, err = a.node.SendIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: jid.MustParse("hub1.im.example")}, pingPayload())
	note("ping the server", err)
	_, err = a.node.SendIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: jid.MustParse("from.im.example")}, pingPayload())
	note("ping the node that sends the messages", err)
	note("flush", a.node.Flush(ctx))
	a.mu.Lock()
	a.asked = all
	a.mu.Unlock()
}

// TestHandlerAsks: while a handler waits for answers, a hundred windows of stanzas wait for it, and the answers come past them. Then
// all messages come, each once and in order, also where the connection is reset in between.
func TestHandlerAsks(t *testing.T) {
	for _, c := range []struct {
		name  string
		plain bool
		reset bool
	}{{"acked", false, false}, {"plain", true, false}, {"acked, and resumed", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, t.TempDir())
			bad, err := fault.Listen(s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer bad.Close()
			a := &asker{t: t, flood: make(chan struct{})}
			if c.reset {
				a.during = func() { bad.Reset(fault.Both) }
			}
			dial := func(cfg component.Config) *component.Node {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				cfg.Secret, cfg.Backoff = s.secret, component.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}
				n, err := component.Dial(ctx, cfg)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { n.Close(); <-n.Done() })
				return n
			}
			a.node = dial(component.Config{Addrs: []string{bad.Addr()}, Domain: "to.im.example", Users: []string{"im.example"}, Plain: c.plain,
				Handler: component.Messages(a.handle, nil)})
			p := &sdkPair{from: dial(component.Config{Addrs: []string{s.addr}, Domain: "from.im.example"})}
			if err := a.node.Announce(t.Context(), sdkUser); err != nil {
				t.Fatal(err)
			}
			const n = 8000
			p.padding = strings.Repeat("x", 1000)
			p.send(t, 0, n)
			close(a.flood)
			a.all(n)
		})
	}
}

// all waits until all messages have come, and looks at what came of the questions.
func (a *asker) all(n int) {
	a.t.Helper()
	heard := func() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.heard) }
	eventually(a.t, "the messages", func() bool { return heard() >= n })
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, b := range a.heard {
		if number, _, _ := strings.Cut(b, " "); number != fmt.Sprint(i) {
			a.t.Fatalf("message %d is %s", i, number)
		}
	}
	if len(a.heard) != n || len(a.asked) != 6 {
		a.t.Fatalf("%d messages of %d, %d questions", len(a.heard), n, len(a.asked))
	}
	for _, err := range a.asked {
		if err != nil {
			a.t.Error(err)
		}
	}
}
