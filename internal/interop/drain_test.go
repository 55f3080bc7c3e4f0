package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// office is two nodes with users and one that writes to them, all on the SDK. What became of each message is noted.
type office struct {
	one, two, writer *component.Node
	users            []jid.JID // on one, at the beginning

	mu      sync.Mutex
	ends    map[string]int // guarded by mu: how often a message came or came back, by id
	came    map[string]int // guarded by mu: and at which node
	drained map[string]int // guarded by mu: calls of OnDrain, by node
}

// openOffice attaches the nodes. drain is what the application of a node does when it is drained.
func openOffice(t *testing.T, s *server, drain func(o *office, n *component.Node)) *office {
	t.Helper()
	o := &office{ends: map[string]int{}, came: map[string]int{}, drained: map[string]int{}}
	attach := func(name string) (n *component.Node) {
		cfg := component.Config{Addrs: []string{s.addr}, Domain: name + ".im.example", Secret: s.secret, Users: []string{"im.example"},
			Plain:    name == "two", // it proves by pings
			OnAttach: func(a *component.Node) { n = a },
			OnDrain: func(on bool) {
				o.mu.Lock()
				o.drained[name]++
				o.mu.Unlock()
				if on {
					drain(o, n)
				}
			},
			Handler: component.Messages(func(m component.Message) {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.ends[m.ID]++
				o.came[name]++
			}, nil)}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		dialed, err := component.Dial(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dialed.Close(); <-dialed.Done() })
		return dialed
	}
	o.one, o.two, o.writer = attach("one"), attach("two"), attach("writer")
	for i := range 10 {
		o.users = append(o.users, jid.MustParse(fmt.Sprintf("u%d@im.example/x", i)))
	}
	if err := o.one.Announce(t.Context(), o.users...); err != nil {
		t.Fatal(err)
	}
	return o
}

// write writes to the users in turn, some thousand messages a second, until stop is closed, and gives how many it has sent.
func (o *office) write(t *testing.T, stop <-chan struct{}) (sent int) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; ; sent++ {
		if sent%10 == 0 {
			<-tick.C
		}
		select {
		case <-stop:
			return sent
		default:
		}
		to := o.users[sent%len(o.users)]
		m := component.Message{Message: stanza.Message{ID: fmt.Sprint("m", sent), From: o.writer.Domain(), To: to, Type: stanza.ChatMessage}, Body: "x"}
		if err := o.writer.Send(ctx, m.TokenReader()); err != nil {
			t.Error(err)
			return sent
		}
	}
}

// number gives how many messages have come to a node.
func (o *office) number(name string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.came[name]
}

// judge sees that each message has come, or come back, once.
func (o *office) judge(t *testing.T, sent int) {
	t.Helper()
	eventually(t, "an end of each message", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.ends) >= sent
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	twice := 0
	for _, n := range o.ends {
		if n != 1 {
			twice++
		}
	}
	if len(o.ends) != sent || twice > 0 {
		t.Errorf("%d messages of %d, %d more than once", len(o.ends), sent, twice)
	}
	t.Logf("%d sent, came to %v, drained %v", sent, o.came, o.drained)
}

// leave sends half of the users of a node elsewhere, and logs the others out.
func leave(t *testing.T) func(o *office, n *component.Node) {
	return func(o *office, n *component.Node) {
		if n != o.one {
			return
		}
		if err := o.two.Announce(t.Context(), o.users[:5]...); err != nil {
			t.Error(err)
		}
		if err := n.Withdraw(t.Context(), o.users...); err != nil { // what another node has taken is no matter
			t.Error(err)
		}
	}
}

// ctl runs a verb of ctl against the server.
func (s *server) ctl(t *testing.T, args ...string) (out, told string, code int) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(append([]string{"ctl"}, args...), "--url", "http://"+s.find(t, httpListens))...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// TestDrainNode drains a node under load. Its application sends its users elsewhere; the drain ends by itself, and the node
// may be stopped: nothing is lost, and nothing comes twice.
func TestDrainNode(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	o := openOffice(t, s, leave(t))
	stop, sent := make(chan struct{}), make(chan int, 1)
	go func() { sent <- o.write(t, stop) }()
	eventually(t, "a thousand messages", func() bool { return o.number("one") > 1000 })
	out, told, code := s.ctl(t, "drain", "one.im.example", "--yes", "--timeout", "50s")
	if code != 0 || !strings.Contains(out, "one.im.example is drained: safe to stop   0 sessions   nothing waits") {
		t.Errorf("exit code %d\n%s%s", code, out, told)
	}
	before := o.number("one")
	o.one.Close()
	<-o.one.Done()
	moved := o.number("two")
	eventually(t, "a thousand messages on the other node", func() bool { return o.number("two") > moved+1000 })
	close(stop)
	o.judge(t, <-sent)
	if n := o.number("one"); n != before {
		t.Errorf("%d messages came to the node after its drain", n-before)
	}
	if l := s.stop(t); l["stored"]+l["waiting"] != 0 {
		t.Errorf("%v", l)
	}
}

// TestDrainServer drains the server under load: the users leave, the drain ends by itself, and a stop leaves nothing.
func TestDrainServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data)
	stop, sent := make(chan struct{}), make(chan int, 1)
	var once sync.Once
	o := openOffice(t, s, func(o *office, n *component.Node) {
		if n == o.one {
			if err := n.Withdraw(t.Context(), o.users...); err != nil {
				t.Error(err)
			}
			once.Do(func() { time.AfterFunc(500*time.Millisecond, func() { close(stop) }) }) // who writes to nobody leaves, too
		}
	})
	go func() { sent <- o.write(t, stop) }()
	eventually(t, "a thousand messages", func() bool { return o.number("one") > 1000 })
	out, told, code := s.ctl(t, "drain", "--server", "--yes", "--timeout", "50s")
	if code != 0 || !strings.Contains(out, "the server is drained: safe to stop   0 sessions   nothing waits") {
		t.Errorf("exit code %d\n%s%s", code, out, told)
	}
	o.judge(t, <-sent)
	for _, name := range []string{"one", "two", "writer"} {
		if o.mu.Lock(); o.drained[name] != 1 {
			t.Errorf("%s was told %d times", name, o.drained[name])
		}
		o.mu.Unlock()
	}
	if l := s.stop(t); l["stored"]+l["waiting"]+l["dropped"] != 0 {
		t.Errorf("%v", l)
	}
}

// TestDrainTimeout drains a node that knows nothing of drains, and answers nothing: at the timeout it is said what is left.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	p := attachParty(t, s, "p")
	p.announce(t)
	for _, target := range []string{"p.im.example", "--server"} {
		out, told, code := s.ctl(t, "drain", target, "--yes", "--timeout", "1500ms")
		if code != 1 || !strings.Contains(out, "is draining   1 session   ") || !strings.Contains(told, "not safe to stop after 1.5s: 1 session") ||
			target == "--server" && !strings.Contains(out, "\n  p.im.example   draining   1 session") {
			t.Errorf("%s: exit code %d\n%s%s", target, code, out, told)
		}
	}
	if err := p.say("<presence type='unavailable' from='%s' to='im.example'/>", p.user()); err != nil {
		t.Fatal(err)
	}
	if out, told, code := s.ctl(t, "drain", "--server", "--yes", "--timeout", "50s"); code != 0 {
		t.Errorf("its user has left: exit code %d\n%s%s", code, out, told)
	}
}
