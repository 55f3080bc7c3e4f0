package interop

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// python is the interpreter that has Debian's python3-slixmpp.
const python = "/usr/bin/python3"

//go:embed testdata/bodies.json
var bodiesJSON []byte

// bodies are texts that relays are known to alter, as they stand on the wire and as they read.
var bodies = func() (list []struct{ Raw, Text string }) {
	if err := json.Unmarshal(bodiesJSON, &list); err != nil {
		panic(err)
	}
	return list
}()

// plan says how two nodes talk: each has users users, side0@.. to side999@.., and sends messages messages. Message n
// goes from user n%users to user 7*(n%users)%users of the other side, to every second one by its bare address.
type plan struct{ users, messages int }

func (p plan) course(n int) (from, to int, bare bool) {
	from = n % p.users
	return from, from * 7 % p.users, from%2 == 0
}

func (p plan) addresses(n int, side, other string) (from, to string) {
	i, j, bare := p.course(n)
	from, to = fmt.Sprintf("%s%d@im.example/x", side, i), fmt.Sprintf("%s%d@im.example", other, j)
	if !bare {
		to += "/x"
	}
	return from, to
}

// talker is one side of an exchange. All of its methods wait until the thing is done.
type talker interface {
	talk(t *testing.T)  // begin to send
	heard(t *testing.T) // all has come, each once, in order
	leave(t *testing.T) // end the stream
}

// goTalker talks through the Go SDK.
type goTalker struct {
	// set once
	plan        plan
	side, other string
	node        *component.Node
	got         chan struct{} // closed with the last message
	news        chan struct{} // one value: another message
	sent        sync.WaitGroup

	// owned by the node's handler
	next   map[int]int // by pair
	count  int
	faults []string
}

func newGoTalker(t *testing.T, s *server, addr string, g *goTalker) *goTalker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.got, g.news, g.next = make(chan struct{}), make(chan struct{}, 1), map[int]int{}
	node, err := component.Dial(ctx, component.Config{Addrs: []string{addr}, Domain: g.side + ".im.example",
		Secret: s.secret, Users: []string{"im.example"}, Handler: component.Messages(g.take, nil)})
	if err != nil {
		t.Fatal(err)
	}
	g.node = node
	t.Cleanup(func() { _ = node.Close() })
	users := make([]jid.JID, g.plan.users)
	for i := range users {
		users[i] = jid.MustParse(fmt.Sprintf("%s%d@im.example/x", g.side, i))
	}
	if err := node.Announce(ctx, users...); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *goTalker) take(m component.Message) {
	if g.count++; g.count == g.plan.messages {
		defer close(g.got)
	}
	select {
	case g.news <- struct{}{}:
	default:
	}
	n, err := strconv.Atoi(strings.TrimPrefix(m.ID, g.other+"-"))
	i, _, _ := g.plan.course(n)
	from, to := g.plan.addresses(n, g.other, g.side)
	want := fmt.Sprintf("%d %s", n, bodies[n%len(bodies)].Text)
	switch {
	case err != nil || m.Type == stanza.ErrorMessage:
		g.fault("message %q of type %q: %v", m.ID, m.Type, m.Cause)
		return
	case n != g.next[i]*g.plan.users+i:
		g.fault("message %d comes when %d is due", n, g.next[i]*g.plan.users+i)
	case m.From.String() != from || m.To.String() != to:
		g.fault("message %d is from %s to %s", n, m.From, m.To)
	case m.Body != want:
		g.fault("message %d reads %q, not %q", n, m.Body, want)
	}
	g.next[i]++
}

func (g *goTalker) fault(format string, args ...any) {
	if len(g.faults) < 10 {
		g.faults = append(g.faults, fmt.Sprintf(format, args...))
	}
}

func (g *goTalker) talk(t *testing.T) {
	g.sent.Go(func() {
		for n := range g.plan.messages {
			from, to := g.plan.addresses(n, g.side, g.other)
			m := component.Message{Body: fmt.Sprintf("%d %s", n, bodies[n%len(bodies)].Text), Message: stanza.Message{
				ID: fmt.Sprintf("%s-%d", g.side, n), From: jid.MustParse(from), To: jid.MustParse(to), Type: stanza.ChatMessage}}
			if err := g.node.Send(t.Context(), m.TokenReader()); err != nil {
				t.Errorf("message %d: %v", n, err)
				return
			}
		}
	})
}

func (g *goTalker) heard(t *testing.T) {
	t.Helper()
	for over := false; !over; {
		select {
		case <-g.got:
			over = true
		case <-g.news:
		case <-time.After(patience):
			t.Fatalf("%s waits in vain for %d messages", g.side, g.plan.messages)
		}
	}
	for _, f := range g.faults {
		t.Error(g.side, f)
	}
	g.sent.Wait()
}

func (g *goTalker) leave(t *testing.T) {
	t.Helper()
	if err := g.node.Close(); err != nil {
		t.Error(err)
	}
	<-g.node.Done()
}

// pyTalker talks through slixmpp, in a process of its own.
type pyTalker struct{ *process }

var (
	announced = regexp.MustCompile(`^announced$`)
	done      = regexp.MustCompile(`^done$`)
)

func newPyTalker(t *testing.T, s *server, addr string, p plan) pyTalker {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	script, data := filepath.Join("testdata", "slixmpp_node.py"), filepath.Join("testdata", "bodies.json")
	y := pyTalker{start(t, exec.Command(python, script, "--host", host, "--port", port, "--domain", "s.im.example",
		"--secret", s.secret, "--users", "im.example", "--bodies", data,
		"--count", strconv.Itoa(p.users), "--messages", strconv.Itoa(p.messages)))}
	y.find(t, announced)
	return y
}

func (y pyTalker) talk(t *testing.T) {
	t.Helper()
	if _, err := fmt.Fprintln(y.in, "go"); err != nil {
		t.Fatal(err)
	}
}

func (y pyTalker) heard(t *testing.T) {
	t.Helper()
	y.find(t, done)
	for _, line := range y.output() {
		if strings.HasPrefix(line, "fault") {
			t.Error("slixmpp:", line)
		}
	}
}

func (y pyTalker) leave(t *testing.T) {
	t.Helper()
	_, _ = fmt.Fprintln(y.in, "quit")
	if code := y.wait(t); code != 0 {
		t.Errorf("slixmpp ended with %d:\n%s", code, strings.Join(y.output(), "\n"))
	}
}

// exchange lets two sides talk at once, each behind a tap, and judges what the taps have recorded.
func exchange(t *testing.T, p plan, other string, second func(s *server, addr string) talker) {
	s := serve(t, t.TempDir(), "limits.queue=64MiB") // the sender is faster than the slower library reads
	first, last := newTap(t, s.addr), newTap(t, s.addr)
	sides := []talker{
		newGoTalker(t, s, first.addr(), &goTalker{plan: p, side: "g", other: other}),
		second(s, last.addr()),
	}
	for _, side := range sides {
		side.talk(t)
	}
	for _, side := range sides {
		side.heard(t)
	}
	for _, side := range sides {
		side.leave(t)
	}
	l := s.stop(t)
	up1, down1 := first.record(t)
	up2, down2 := last.record(t)
	compare(t, p, up1, down2)
	compare(t, p, up2, down1)
	has(t, up1, "&lt;", "&amp;", "&#34;", "&#39;", "&#xD;", "😀") // as encoding/xml writes them
	if other == "s" {
		for _, b := range bodies {
			has(t, up2, " "+b.Raw+"</body>")
		}
	}
	if n := up1.stanzas() + up2.stanzas(); l["accepted"] != n {
		t.Errorf("%d stanzas were sent, %d accepted", n, l["accepted"])
	}
	if n := down1.stanzas() + down2.stanzas(); l["written"] != n {
		t.Errorf("%d stanzas arrived, %d written", n, l["written"])
	}
	if l["waiting"]+l["bounced"]+l["dropped"]+l["copies"] != 0 || l["accepted"] != 2*p.messages+l["served"] {
		t.Errorf("each message has one end and no stanza is lost: %v", l)
	}
	if faults := s.faults(); len(faults) > 0 {
		t.Errorf("the server says %q", faults)
	}
	t.Logf("%v", l)
}

// has sees that a text was on the wire, or the comparison of its copies would show nothing.
func has(t *testing.T, w wire, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !bytes.Contains(w, []byte(text)) {
			t.Errorf("nobody has sent %q", text)
		}
	}
}

// compare holds what left the router against what had entered it: the same messages, their bodies to the byte, and
// for each pair of addresses in the same order.
func compare(t *testing.T, p plan, entered, left wire) {
	t.Helper()
	in, out := map[string]seen{}, map[string]bool{}
	order := map[string][]string{} // by pair: ids still to leave
	for _, m := range entered.messages(t) {
		in[m.id] = m
		order[m.from+" "+m.to] = append(order[m.from+" "+m.to], m.id)
	}
	if len(in) != p.messages {
		t.Errorf("%d messages entered, not %d", len(in), p.messages)
	}
	for _, m := range left.messages(t) {
		due := order[m.from+" "+m.to]
		switch {
		case out[m.id]:
			t.Errorf("%s leaves twice", m.id)
		case in[m.id] != m:
			t.Errorf("entered %q\nleft    %q", in[m.id], m)
		case due[0] != m.id:
			t.Errorf("%s leaves when %s is due", m.id, due[0])
		default:
			order[m.from+" "+m.to] = due[1:]
		}
		out[m.id] = true
		if t.Failed() {
			return
		}
	}
	if len(out) != p.messages {
		t.Errorf("%d messages left, %d had entered", len(out), p.messages)
	}
}

// TestSDK lets two nodes of the Go SDK talk: all that a machine with only Go can do.
func TestSDK(t *testing.T) {
	p := plan{users: 1000, messages: 2500}
	exchange(t, p, "h", func(s *server, addr string) talker {
		return newGoTalker(t, s, addr, &goTalker{plan: p, side: "h", other: "g"})
	})
}

// TestSlixmpp lets a node of the Go SDK and one of slixmpp talk: 100 000 messages with PATCHBAY_INTEROP=1.
func TestSlixmpp(t *testing.T) {
	p := plan{users: 1000, messages: 2000}
	must := os.Getenv("PATCHBAY_INTEROP") == "1"
	if must && !testing.Short() {
		p.messages = 50_000
	}
	if out, err := exec.Command(python, "-c", "import slixmpp").CombinedOutput(); err != nil {
		says := fmt.Sprintf("needs python3-slixmpp for %s (%v): %.200s", python, err, out)
		if must {
			t.Fatal(says)
		}
		t.Skip(says)
	}
	exchange(t, p, "s", func(s *server, addr string) talker { return newPyTalker(t, s, addr, p) })
}
