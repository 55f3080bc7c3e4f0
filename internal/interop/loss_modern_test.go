package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/fault"
)

// modernLoss is a receiver with acknowledgements that stops reading while messages come, and whose connection is then reset.
type modernLoss struct {
	half     bool // it stops half way, else before the first message
	messages int  // before it is reset
}

func (l modernLoss) String() string {
	return fmt.Sprintf("SDK stops %s, %d, and is reset", map[bool]string{true: "half way", false: "at once"}[l.half], l.messages)
}

// TestLossModern is TestLoss for links with acknowledgements: what the receiver had not acknowledged comes on the stream that it
// resumes, without a delay; nothing is lost, nothing comes twice, and neither end is told of a drop.
func TestLossModern(t *testing.T) {
	all := []modernLoss{{false, 2000}, {true, 2000}}
	if os.Getenv("PATCHBAY_INTEROP") == "1" && !testing.Short() {
		all = append(all, modernLoss{false, 120_000}, modernLoss{true, 120_000})
	}
	for _, l := range all {
		t.Run(l.String(), l.run)
	}
}

// modernReceiver is what a receiver's application has got.
type modernReceiver struct {
	mu      sync.Mutex
	ids     []string // guarded by mu, as all below
	delayed int
	drops   int // told to the application
	stop    int // it takes so many, and waits; 0: it takes all
	goOn    chan struct{}
}

func (r *modernReceiver) take(m component.Message) {
	r.mu.Lock()
	waits := r.stop > 0 && len(r.ids) == r.stop-1
	r.ids = append(r.ids, m.ID)
	if !m.Delayed.IsZero() {
		r.delayed++
	}
	r.mu.Unlock()
	if waits {
		<-r.goOn
	}
}

func (r *modernReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func (l modernLoss) run(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	bad, err := fault.ListenWindow(s.addr, smallBuffer)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	r := &modernReceiver{goOn: make(chan struct{})}
	if l.half {
		r.stop = l.messages / 2
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	attach := func(cfg component.Config) *component.Node {
		cfg.Secret, cfg.OnDetach = s.secret, func(error) { r.mu.Lock(); r.drops++; r.mu.Unlock() }
		cfg.Backoff = component.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}
		n, err := component.Dial(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		if n.Grade() != component.GradeAcked {
			t.Errorf("%s has the grade %q", cfg.Domain, n.Grade())
		}
		return n
	}
	attach(component.Config{Addrs: []string{bad.Addr()}, Domain: receiverDomain, Handler: component.Messages(r.take, nil)})
	from := attach(component.Config{Addrs: []string{s.addr}, Domain: senderDomain, DialContext: new(net.Dialer).DialContext})
	if !l.half {
		bad.Stall(fault.Both)
	}
	l.send(ctx, t, from, 0, l.messages)
	if l.half {
		eventually(t, "the half", func() bool { return r.count() == r.stop })
	}
	bad.Reset(fault.Both)
	bad.Resume(fault.Both)
	close(r.goOn)
	l.send(ctx, t, from, l.messages, l.messages/10)
	if err := from.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	all := l.messages + l.messages/10
	eventually(t, "the last message", func() bool { return r.count() >= all })
	r.judge(t, all)
	s.stop(t)
}

// send sends numbered messages. It does not wait for the server's promise to keep them: that would have them written to its disk.
func (l modernLoss) send(ctx context.Context, t *testing.T, from *component.Node, first, n int) {
	t.Helper()
	m := component.Message{Message: stanza.Message{To: jid.MustParse(receiverDomain), Type: stanza.ChatMessage}, Body: strings.Repeat("b", 100)}
	for i := range n {
		m.ID = fmt.Sprint("m", first+i)
		if err := from.Send(ctx, m.TokenReader()); err != nil {
			t.Fatal(err)
		}
	}
}

// judge sees that all messages came, each once, in order, and none as late.
func (r *modernReceiver) judge(t *testing.T, all int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, id := range r.ids {
		if id != fmt.Sprint("m", i) {
			t.Fatalf("message %d is %s", i, id)
		}
	}
	if len(r.ids) != all || r.delayed > 0 || r.drops > 0 {
		t.Errorf("%d messages of %d came, %d with a delay; %d drops were told", len(r.ids), all, r.delayed, r.drops)
	}
	if !t.Failed() {
		t.Logf("%d messages, 0 lost, 0 came twice, 0 late", all)
	}
}
