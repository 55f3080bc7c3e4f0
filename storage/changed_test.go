package storage

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// changeLog notes what Options.Changed and NodeChanged say. It reads the table from both, as their users may.
type changeLog struct {
	mu   sync.Mutex
	s    *Sessions
	said []string // guarded by mu
}

func (l *changeLog) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, what)
}

// taken gives what was said since the last time, sorted: shards have no order that a test could know.
func (l *changeLog) taken() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.said)
	said := strings.Join(l.said, " ")
	l.said = nil
	return said
}

func TestChanged(t *testing.T) {
	l := &changeLog{}
	s, err := OpenSessions(Options{Dir: Memory, Server: "hub1",
		Changed: func(bare []byte) { l.note(fmt.Sprintf("%s:%d", bare, len(l.s.Where(bare)))) },
		NodeChanged: func(id NodeID) {
			rec, _ := l.s.Node(id)
			l.note(fmt.Sprintf("%s:%v", rec.Domain, rec.State))
		}})
	if err != nil {
		t.Fatal(err)
	}
	l.s = s
	t.Cleanup(func() { finish(t, s) })
	var n1, n2 link
	later := time.Now().Add(time.Minute)
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"attach", func() { n1, n2 = attach(t, s, "n1"), attach(t, s, "n2") }, "n1:up n2:up"},
		{"create", func() { n1.say(t, "a@im/1", 0, Take); n1.say(t, "a@im/2", 0, Take) }, "a@im:1 a@im:2"},
		{"confirm", func() { n1.say(t, "a@im/1", 0, Take) }, ""},
		{"priority", func() { n1.say(t, "a@im/1", 3, Take) }, "a@im:2"},
		{"held", func() { n2.say(t, "a@im/1", 0, Never) }, ""},
		{"take", func() { n2.say(t, "a@im/1", 0, Take) }, "a@im:2"},
		{"withdraw what another holds", func() { n1.withdraw(t, "a@im/1") }, ""},
		{"withdraw", func() { n2.withdraw(t, "a@im/1") }, "a@im:1"},
		{"withdraw again", func() { n2.withdraw(t, "a@im/1") }, ""},
		{"drain", func() { s.SetNodeState(n1.node, n1.inc, Draining, time.Time{}) }, "n1:draining"},
		{"drop", func() { s.SetNodeState(n1.node, n1.inc, Away, later) }, "n1:away"},
		{"drop what is not attached", func() { s.SetNodeState(n1.node, n1.inc-1, Away, later) }, ""},
		{"return", func() { n1 = attach(t, s, "n1") }, "n1:up"},
		{"more", func() { n1.say(t, "b@im/1", 0, Take) }, "b@im:1"},
		{"what is not confirmed ends", func() { n1.confirmed(t) }, "a@im:0"},
		{"expire: the node is told, not each session", func() { s.ExpireNode(n1.node, n1.inc); s.sweeper.wait() }, "n1:gone"},
		{"expire again", func() { s.ExpireNode(n1.node, n1.inc) }, ""},
		{"the first announce after an end", func() { n2.say(t, "b@im/1", 0, Take) }, "b@im:1"},
	} {
		c.do()
		if got := l.taken(); got != c.want {
			t.Errorf("%s: told %q, want %q", c.name, got, c.want)
		}
	}
}

func (l link) withdraw(t testing.TB, jid string) {
	t.Helper()
	b := l.s.Begin(l.node, l.inc, l.mark)
	bare, res := split(jid)
	b.Withdraw(bare, res)
	b.sync(t)
}

// confirmed ends what the node has not confirmed since it attached.
func (l link) confirmed(t testing.TB) {
	t.Helper()
	b := l.s.Begin(l.node, l.inc, l.mark)
	b.WithdrawBelow(l.mark, Unconfirmed)
	b.sync(t)
}
