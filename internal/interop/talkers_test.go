package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// goTalker talks through the Go SDK.
type goTalker struct {
	// set once
	*side
	node *component.Node
	got  chan struct{} // closed with the last message
	news chan struct{} // one value: another message
	sent sync.WaitGroup

	rows []row // owned by the node's handler, to be read when got is closed
}

func newGoTalker(t *testing.T, s *server, x *side) talker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g := &goTalker{side: x, got: make(chan struct{}), news: make(chan struct{}, 1)}
	node, err := component.Dial(ctx, component.Config{Addrs: []string{x.tap.addr()}, Domain: x.domain(),
		Secret: s.secret, Users: []string{"im.example"}, Handler: component.Messages(g.take, nil)})
	if err != nil {
		t.Fatal(err)
	}
	g.node = node
	t.Cleanup(func() { _ = node.Close() })
	users := make([]jid.JID, x.users)
	for i := range users {
		users[i] = jid.MustParse(fmt.Sprintf("%s%d@im.example/x", x.mark, i))
	}
	if err := node.Announce(ctx, users...); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *goTalker) take(m component.Message) {
	if g.rows = append(g.rows, row{m.From.String(), m.ID, m.To.String(), m.Body}); len(g.rows) == g.due {
		close(g.got)
	}
	select {
	case g.news <- struct{}{}:
	default:
	}
}

func (g *goTalker) talk(t *testing.T) {
	g.sent.Go(func() {
		for _, l := range g.script {
			m := component.Message{Body: l.text, Message: stanza.Message{
				ID: l.id, From: jid.MustParse(l.from), To: jid.MustParse(l.to), Type: stanza.ChatMessage}}
			if err := g.node.Send(t.Context(), m.TokenReader()); err != nil {
				t.Errorf("message %s: %v", l.id, err)
				return
			}
		}
	})
}

func (g *goTalker) heard(t *testing.T) {
	t.Helper()
	for {
		select {
		case <-g.got:
			g.sent.Wait()
			return
		case <-g.news:
		case <-time.After(patience):
			t.Fatalf("the Go SDK waits in vain for %d messages", g.due)
		}
	}
}

func (g *goTalker) leave(t *testing.T) report {
	t.Helper()
	if err := g.node.Close(); err != nil {
		t.Error(err)
	}
	<-g.node.Done()
	return report{rows: g.rows}
}

// scriptTalker talks through a library of another language, in a process of its own.
type scriptTalker struct {
	*process
	name string
	file string // where it writes what it hears
}

var (
	announced = regexp.MustCompile(`^announced$`)
	done      = regexp.MustCompile(`^done$`)
)

func (p scriptTalker) talk(t *testing.T) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, "go"); err != nil {
		t.Fatal(err)
	}
}

func (p scriptTalker) heard(t *testing.T) {
	t.Helper()
	p.find(t, done)
}

func (p scriptTalker) leave(t *testing.T) (r report) {
	t.Helper()
	_, _ = fmt.Fprintln(p.in, "quit")
	if code := p.wait(t); code != 0 {
		t.Errorf("%s ended with %d:\n%s", p.name, code, strings.Join(p.output(), "\n"))
	}
	for _, line := range p.output() {
		if strings.HasPrefix(line, "fault") {
			t.Error(p.name, line)
		}
	}
	text, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var m [4]string
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s writes %q: %v", p.name, line, err)
		}
		r.rows = append(r.rows, row{m[0], m[1], m[2], m[3]})
	}
	if chunks, err := os.ReadFile(p.file + ".chunks"); err == nil {
		if err := json.Unmarshal(chunks, &r.chunks); err != nil {
			t.Fatal(err)
		}
	}
	return r
}
