package interop

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/fault"
)

// sdkPair is two nodes of the SDK: messages go from one to a user of the other.
type sdkPair struct {
	from, to *component.Node
	padding  string // of bodies

	mu       sync.Mutex
	heard    []string // guarded by mu: bodies, as the application of to got them
	detached int      // guarded by mu: calls of OnDetach
}

var sdkUser = jid.MustParse("bob@im.example/web")

// newSDKPair attaches both by the connections that dial gives.
func newSDKPair(t *testing.T, secret string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *sdkPair {
	t.Helper()
	p := &sdkPair{}
	cfg := component.Config{Addrs: []string{"hub:5347"}, Domain: "from.im.example", Secret: secret, DialContext: dial,
		Backoff:  component.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond},
		OnDetach: func(error) { p.mu.Lock(); p.detached++; p.mu.Unlock() }}
	attach := func(cfg component.Config) *component.Node {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		n, err := component.Dial(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(); <-n.Done() })
		if g := n.Grade(); g != component.GradeAcked {
			t.Errorf("%s has the grade %q", cfg.Domain, g)
		}
		return n
	}
	p.from = attach(cfg)
	cfg.Domain, cfg.Users = "to.im.example", []string{"im.example"}
	cfg.Handler = component.Messages(func(m component.Message) { p.mu.Lock(); p.heard = append(p.heard, m.Body); p.mu.Unlock() }, nil)
	p.to = attach(cfg)
	if err := p.to.Announce(t.Context(), sdkUser); err != nil {
		t.Fatal(err)
	}
	return p
}

// send sends so many messages, numbered from first, and waits until the server has them.
func (p *sdkPair) send(t *testing.T, first, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := first; i < first+n; i++ {
		m := component.Message{Message: stanza.Message{ID: fmt.Sprint("m", i), From: p.from.Domain(), To: sdkUser, Type: stanza.ChatMessage}, Body: strings.TrimSpace(fmt.Sprint(i, " ", p.padding))}
		if err := p.from.Send(ctx, m.TokenReader()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.from.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// all waits until n messages are there and sees that they are in order, each once.
func (p *sdkPair) all(t *testing.T, n int) {
	t.Helper()
	for until := time.Now().Add(patience); ; {
		p.mu.Lock()
		heard := len(p.heard)
		p.mu.Unlock()
		if heard >= n || time.Now().After(until) {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.heard {
		if b != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, b)
		}
	}
	if len(p.heard) != n {
		t.Errorf("%d messages of %d", len(p.heard), n)
	}
}

// TestModernResets resets the connections of two SDK nodes while messages pass: nothing is lost, repeated or out of order,
// and neither application sees a drop.
func TestModernResets(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	bad, err := fault.Listen(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	p := newSDKPair(t, s.secret, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, bad.Addr())
	})
	const each, rounds = 500, 20
	for i := range rounds {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			<-time.After(time.Duration(i) * time.Millisecond)
			bad.Reset([]fault.Way{fault.Both, fault.ToPeer}[i%2]) // the second leaves the server a link that hangs
		}()
		p.send(t, i*each, each)
		<-sent
	}
	p.all(t, each*rounds)
	if p.detached > 0 {
		t.Errorf("OnDetach was called %d times", p.detached)
	}
}

// TestModernRestart stops the server while messages pass, and starts it again: what it had not acknowledged is sent again,
// and what comes twice is handled once.
func TestModernRestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data)
	var mu sync.Mutex
	addr := s.addr
	p := newSDKPair(t, s.secret, func(ctx context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	const each, rounds = 2000, 3
	for i := range rounds {
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.send(t, i*each, each)
		}()
		<-time.After(time.Duration(5*i) * time.Millisecond)
		s.stop(t)
		s = serve(t, data)
		mu.Lock()
		addr = s.addr
		mu.Unlock()
		<-done
	}
	p.all(t, each*rounds)
}

// TestModernForeignFrom sends a message in a name that the node may not use, amid others: the server ends the stream for it,
// each time, until the node gives it up. The others arrive.
func TestModernForeignFrom(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	p := newSDKPair(t, s.secret, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.addr)
	})
	p.send(t, 0, 10)
	m := component.Message{Message: stanza.Message{ID: "x", From: jid.MustParse("eve@elsewhere.example"), To: sdkUser, Type: stanza.ChatMessage}, Body: "x"}
	if err := p.from.Send(t.Context(), m.TokenReader()); err != nil {
		t.Fatal(err)
	}
	p.send(t, 10, 100)
	p.all(t, 110)
}
