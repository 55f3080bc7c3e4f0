package storage

import (
	"fmt"
	"hash/maphash"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The model: what the table must say, kept in the plainest way.
type (
	modelNode struct {
		link  // the newest incarnation, and the mark of its attach
		state NodeState
		base  uint64
	}
	modelSession struct {
		node int
		inc  uint64
		prio int8
		mark Mark
	}
	model struct {
		t     *rapid.T
		dir   string
		knobs knobs
		clock atomic.Int64 // microseconds; the sweep reads it too
		s     *Sessions
		latch *latch // holds the load up
		doubt bool   // what ended during the load may be on disk if the table is closed now
		jids  []string
		nodes [3]modelNode
		had   map[string]modelSession
	}
)

func (m *model) alive(x modelSession) bool { return x.inc >= m.nodes[x.node].base }

func (m *model) now() time.Time { return time.UnixMicro(m.clock.Load()) }

func (m *model) open() {
	m.latch, m.doubt = newLatch(), false
	m.knobs.pace = m.latch.pace
	s, err := openSessions(Options{Dir: m.dir, Server: "hub1", Now: m.now}, m.knobs)
	if err != nil {
		m.t.Fatal(err)
	}
	m.s = s
	for i := range m.nodes {
		m.nodes[i].s = s
	}
}

func (m *model) close() {
	m.latch.open()
	if err := m.s.ConsistencyCheck(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.s.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// load lets some users into memory.
func (m *model) load(t *rapid.T) {
	if !m.s.Loading() {
		t.Skip("all are in memory")
	}
	m.latch.let(m.s, rapid.IntRange(1, 4).Draw(t, "users"))
}

// finishLoad lets all in.
func (m *model) finishLoad(*rapid.T) {
	m.latch.open()
	m.s.Loaded()
}

// stop closes the table in the middle of the load.
func (m *model) stop(t *rapid.T) {
	if !m.s.Loading() || m.doubt {
		t.Skip("not of interest")
	}
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.again()
}

func (m *model) reopen(*rapid.T) {
	m.close()
	m.again()
}

// again: nothing is forgotten but marks, and who is attached.
func (m *model) again() {
	m.open()
	for i := range m.nodes {
		if n := &m.nodes[i]; n.inc != 0 && n.state != Gone {
			n.state = Away
		}
		m.nodes[i].mark = 0
	}
	for k, x := range m.had {
		x.mark = 0
		m.had[k] = x
	}
}

func (m *model) attach(t *rapid.T) {
	i := rapid.IntRange(0, len(m.nodes)-1).Draw(t, "node")
	m.clock.Add(int64(rapid.IntRange(0, 2).Draw(t, "microseconds")))
	r, mark, err := m.s.AttachNode(fmt.Sprintf("node%d.im.example", i))
	if err != nil {
		t.Fatal(err)
	}
	n := &m.nodes[i]
	if r.Inc <= n.inc || n.node != 0 && r.ID != n.node || r.State != Up {
		t.Fatalf("attached as %+v after %+v", r, n)
	}
	if n.node == 0 {
		n.base = r.Inc
	}
	n.link, n.state = link{m.s, r.ID, r.Inc, mark}, Up
}

// speaker draws a node that has ever attached, nil if there is none.
func (m *model) speaker(t *rapid.T) (int, *modelNode) {
	var known []int
	for i := range m.nodes {
		if m.nodes[i].inc != 0 {
			known = append(known, i)
		}
	}
	if len(known) == 0 {
		t.Skip("no node")
	}
	i := rapid.SampledFrom(known).Draw(t, "node")
	return i, &m.nodes[i]
}

func (m *model) setState(t *rapid.T) {
	_, n := m.speaker(t)
	st := rapid.SampledFrom([]NodeState{Up, Draining, Away}).Draw(t, "state")
	if ok := m.s.SetNodeState(n.node, n.inc, st, m.now()); ok != (n.state != Gone) {
		t.Fatalf("SetNodeState = %t of %+v", ok, n)
	} else if ok {
		n.state = st
	}
}

func (m *model) expire(t *rapid.T) {
	i, n := m.speaker(t)
	want := 0
	for _, x := range m.had {
		if x.node == i && m.alive(x) {
			want++
		}
	}
	loading := m.s.Loading()
	if got := m.s.ExpireNode(n.node, n.inc); got > want || got < want && !loading {
		t.Fatalf("ExpireNode = %d, want %d", got, want)
	}
	n.state, n.base = Gone, n.inc+1
}

// want is what the model expects of an announce.
func (m *model) want(i int, mark Mark, jid string, prio int8, p Policy) (Change, NodeID) {
	x, ok := m.had[jid]
	holder := m.nodes[x.node]
	switch {
	case !ok || !m.alive(x):
		return Created, 0
	case x.node == i && x.prio == prio:
		return Confirmed, 0
	case x.node == i:
		return Updated, 0
	case p == Never, p == Sync && holder.state != Away && x.mark >= holder.mark:
		return Held, holder.node
	}
	return Taken, holder.node
}

func (m *model) announceOne(t *rapid.T, b *Batch, i int, mark Mark, p Policy) {
	n := m.nodes[i]
	jid := rapid.SampledFrom(m.jids).Draw(t, "jid")
	prio := int8(rapid.IntRange(-1, 1).Draw(t, "priority"))
	bare, res := split(jid)
	c, prev, err := b.Announce(bare, res, prio, p)
	if n.state == Gone {
		if err != ErrStale {
			t.Fatalf("announce by a node that is gone: %d, %v", c, err)
		}
		return
	}
	want, other := m.want(i, mark, jid, prio, p)
	if err != nil || c != want || prev != other {
		t.Fatalf("%s by node %d: %d, %d, %v; want %d, %d", jid[:8], i, c, prev, err, want, other)
	}
	x := m.had[jid]
	switch c {
	case Held:
	case Confirmed:
		x.mark = max(x.mark, mark)
		m.had[jid] = x
	case Updated:
		m.had[jid] = modelSession{i, n.inc, prio, max(x.mark, mark)}
	default:
		m.had[jid] = modelSession{i, n.inc, prio, mark}
	}
}

func (m *model) announce(t *rapid.T) {
	i, n := m.speaker(t)
	b := m.s.Begin(n.node, n.inc, n.mark)
	p := rapid.SampledFrom([]Policy{Take, Never, Sync}).Draw(t, "policy")
	for range rapid.IntRange(1, 5).Draw(t, "items") {
		m.announceOne(t, b, i, n.mark, p)
	}
	b.Commit(nil)
}

func (m *model) withdraw(t *rapid.T) {
	i, n := m.speaker(t)
	jid := rapid.SampledFrom(m.jids).Draw(t, "jid")
	b := m.s.Begin(n.node, n.inc, n.mark)
	x, ok := m.had[jid]
	want := ok && x.node == i && m.alive(x)
	if got := b.Withdraw(split(jid)); got != want {
		t.Fatalf("Withdraw(%s) = %t, want %t", jid[:8], got, want)
	}
	if want {
		delete(m.had, jid)
	}
	b.Commit(nil)
}

func (m *model) sync(t *rapid.T) {
	i, n := m.speaker(t)
	mark := m.s.NextMark()
	b := m.s.Begin(n.node, n.inc, mark)
	for range rapid.IntRange(0, 8).Draw(t, "items") {
		m.announceOne(t, b, i, mark, Sync)
	}
	want := 0
	for jid, x := range m.had {
		if x.node == i && m.alive(x) && x.mark < mark {
			want++
			delete(m.had, jid)
		}
	}
	loading := m.s.Loading()
	m.doubt = m.doubt || loading
	if got := b.WithdrawBelow(mark, Unconfirmed); got > want || got < want && !loading {
		t.Fatalf("WithdrawBelow = %d, want %d", got, want)
	}
	b.Commit(nil)
}

// checkSome looks at few users only: who is looked at comes into memory.
func (m *model) checkSome(t *rapid.T) {
	for range rapid.IntRange(0, 2).Draw(t, "looks") {
		jid := rapid.SampledFrom(m.jids).Draw(t, "jid")
		x, ok := m.had[jid]
		ok = ok && m.alive(x)
		bare, res := split(jid)
		id := m.nodes[x.node].node
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			if got := found(m.s, jid); len(got) == 1 != ok || ok && got[0] != (Match{id, x.prio}) {
				t.Fatalf("Find(%s) = %v, want %t %+v", jid[:8], got, ok, x)
			}
		case 1:
			if ok && !m.s.Holds(m.s.Hash(bare), bare, id) {
				t.Fatalf("%s: not held", jid[:8])
			}
		case 2:
			at := slices.IndexFunc(m.s.Where(bare), func(w Session) bool { return w.JID == string(bare)+"/"+string(res) })
			if at >= 0 != ok {
				t.Fatalf("Where(%s): %t, want %t", jid[:8], at >= 0, ok)
			}
		case 3:
			if ok && !m.s.HasSessions(id) {
				t.Fatalf("node %d has %s", id, jid[:8])
			}
		}
	}
}

// check compares every answer of the table with the model.
func (m *model) check(t *rapid.T) {
	if m.s.Loading() {
		m.checkSome(t)
		return
	}
	count := make([]int, len(m.nodes))
	bare := map[string][]Match{}
	for _, jid := range m.jids {
		var want []Match
		if x, ok := m.had[jid]; ok && m.alive(x) {
			count[x.node]++
			want = []Match{{m.nodes[x.node].node, x.prio}}
		}
		if got := found(m.s, jid); !slices.Equal(got, want) {
			t.Fatalf("Find(%s) = %v, want %v", jid[:8], got, want)
		}
		user, _, _ := strings.Cut(jid, "/")
		bare[user] = append(bare[user], want...)
	}
	for user, want := range bare {
		got := found(m.s, user)
		slices.SortFunc(got, byNode)
		slices.SortFunc(want, byNode)
		if !slices.Equal(got, want) {
			t.Fatalf("Find(%s) = %v, want %v", user, got, want)
		}
		if n := len(m.s.Where([]byte(user))); n != len(want) {
			t.Fatalf("Where(%s) gives %d, want %d", user, n, len(want))
		}
	}
	total := 0
	for i, n := range m.nodes {
		if got := m.s.Count(n.node); got != count[i] {
			t.Fatalf("Count(node %d) = %d, want %d", i, got, count[i])
		}
		total += count[i]
	}
	if got := m.s.Total(); got != total {
		t.Fatalf("Total = %d, want %d", got, total)
	}
}

func byNode(a, b Match) int {
	return int(a.Node)*256 + int(a.Priority) - int(b.Node)*256 - int(b.Priority)
}

// TestModel holds the table against the model. Long resources in one shard and a low threshold make
// compactions and growth frequent. After each open the sessions come into memory while the model goes on.
func TestModel(t *testing.T) {
	k := knobs{compact: 1, seed: maphash.MakeSeed(), space: space}
	var jids []string
	for u := 0; len(jids) < 40; u++ {
		if bare := fmt.Sprintf("user%d@im.example", u); maphash.String(k.seed, bare)>>(64-shardBits) == 0 {
			for _, res := range []string{"a", "b", strings.Repeat("c", 300), strings.Repeat("d", 900)} {
				jids = append(jids, bare+"/"+res)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "sessions")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{t: t, dir: dir, knobs: k, jids: jids, had: map[string]modelSession{}}
		m.clock.Store(1.7e15)
		m.open()
		t.Repeat(map[string]func(*rapid.T){
			"attach": m.attach, "announce": m.announce, "announce more": m.announce, "withdraw": m.withdraw,
			"sync": m.sync, "set state": m.setState, "expire": m.expire, "reopen": m.reopen, "load": m.load, "finish load": m.finishLoad, "stop": m.stop, "": m.check,
		})
		m.close()
	})
}
