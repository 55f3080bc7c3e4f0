package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// roles are what readers do in one life of the server. Each has the next one in the next life.
type role int

const (
	reads   role = iota // from the start
	returns             // is away, and comes back while others are away
	away                // all the time
	stuck               // reads the first messages, and then nothing
)

func (r role) String() string { return [...]string{"reads", "returns", "is away", "is stuck"}[r] }

// moment is when a server is killed.
type moment string

// moments are those of TestKillQueues, one in each round.
var moments = []moment{"filling", "away", "replaying", "expiring", "stopping"}

// siege is a run of TestKillQueues.
type siege struct {
	dir     string
	rng     *rand.Rand
	book    *book
	scribes []*scribe
	readers []*reader

	// of one life
	s     *server
	when  moment
	pause atomic.Bool // the scribes wait
	over  context.Context
	end   context.CancelFunc
	work  sync.WaitGroup
}

// TestKillQueues kills the server at random moments while its outboxes are full: nodes are away, stuck, or returning. Of
// what was on disk nothing is lost, all comes in order, what waited says so, and no request comes in another life.
// PATCHBAY_KILLS says how often it is killed, and PATCHBAY_SEED repeats the plan of a run.
func TestKillQueues(t *testing.T) {
	kills, seed := number(t, "PATCHBAY_KILLS", sparing(2, len(moments))), number(t, "PATCHBAY_SEED", rand.Uint64())
	t.Logf("%d kills, PATCHBAY_SEED=%d", kills, seed)
	g := &siege{dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0)), book: newBook(0)}
	g.book.refuses = "resource-constraint" // while the disk does not follow
	addresses := map[string]string{}
	for i := range 4 {
		name := fmt.Sprintf("r%d", i)
		g.readers = append(g.readers, &reader{b: g.book, name: name})
		addresses[name] = name + ".im.example"
		if i%2 == 0 {
			addresses[name] = userOf(name)
		}
	}
	for i := range 2 {
		g.scribes = append(g.scribes, newScribe(g.book, fmt.Sprintf("w%d", i), addresses))
	}
	for round := range int(kills) {
		g.when = moments[round%len(moments)]
		g.live(t, round)
		if g.book.failed() {
			break
		}
	}
	g.finish(t)
	if sent, lost := g.book.account(t); lost > sent/2 {
		t.Error("too few were on disk for a test")
	}
	if t.Failed() {
		t.Logf("PATCHBAY_SEED=%d", seed)
	}
}

// role gives the role of a reader in this life.
func (g *siege) role(i int) role { return role((i + g.book.life) % 4) }

// live is one life of the server, from its start to its kill.
func (g *siege) live(t *testing.T, life int) {
	t.Helper()
	g.begin(t, life)
	found := g.s.status(t).Ledger.Found
	g.introduce(t)
	for i, x := range g.readers {
		if r := g.role(i); r == reads || r == stuck || r == returns && g.when == "expiring" {
			x.attach(t, g.s)
		}
	}
	g.fill(t)
	if g.when != "filling" {
		g.settle(t)
		g.strike(t)
	} else {
		least := g.rng.IntN(40 << 20)
		eventually(t, "messages to be written", func() bool { return g.book.bytes() >= least })
	}
	g.lasts(300)
	g.s.kill()
	g.end()
	g.work.Wait()
	for _, x := range g.readers {
		if v := x.last(); v != nil {
			v.ended(t, g.book)
		}
		x.leaves()
	}
	for _, x := range g.scribes {
		wait(t, x.node.over, "the end of the link of "+x.name)
	}
	t.Logf("life %d: %s, %d stanzas found, %d MB written, %d looks", life, g.when, found, g.book.bytes()>>20, len(g.book.looks))
}

// begin starts a server.
func (g *siege) begin(t *testing.T, life int) {
	t.Helper()
	grace := "60s"
	g.book.mu.Lock()
	g.book.life = life
	if g.when == "expiring" {
		grace, g.book.ends = "3s", life
	}
	g.book.mu.Unlock()
	g.s = serve(t, g.dir, "timers.grace="+grace, "limits.queue=4MiB", "timers.drain=5s")
	g.over, g.end = context.WithCancel(context.Background())
	t.Cleanup(g.end)
	for _, x := range g.scribes {
		x.attach(t, g.s)
	}
}

// introduce makes those known who are to be away.
func (g *siege) introduce(t *testing.T) {
	t.Helper()
	for i, x := range g.readers {
		if r := g.role(i); r != returns && r != away || g.s.node(t, x.name).State == "away" {
			continue
		}
		v := x.attach(t, g.s)
		eventually(t, "the answer to the first word", func() bool { return g.book.total(v) > 0 })
		v.cut()
		x.leaves()
		eventually(t, "the drop", func() bool { return g.s.node(t, x.name).State == "away" })
	}
}

// fill lets the scribes write, for as long as the server lives or until they have written enough, and looks at the server
// meanwhile.
func (g *siege) fill(t *testing.T) {
	t.Helper()
	g.pause.Store(false)
	for _, x := range g.scribes {
		rng := rand.New(rand.NewPCG(g.rng.Uint64(), 0))
		enough := 10<<20 + g.rng.IntN(30<<20)
		most := []int{200, 4000, 30_000}[g.rng.IntN(3)]
		enough = min(enough, most*10_000)
		g.work.Go(func() { g.writes(x, rng, enough, most) })
	}
	g.work.Go(func() { g.watches(t) })
}

// writes is one scribe at work: it writes enough, and then a little all the time.
func (g *siege) writes(x *scribe, rng *rand.Rand, enough, most int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for size := 0; g.over.Err() == nil; {
		some := 20
		if size > enough || g.pause.Load() {
			some = 2
			select {
			case <-tick.C:
			case <-g.over.Done():
			}
		}
		if g.pause.Load() {
			continue
		}
		n, err := x.write(rng, some, most, x.lanes...)
		if err != nil {
			return
		}
		size += n
	}
}

// watches looks at the server, and halts those that are to be stuck.
func (g *siege) watches(t *testing.T) {
	for g.over.Err() == nil {
		g.sees(t)
		for i, x := range g.readers {
			if v := x.last(); v != nil && g.role(i) == stuck && g.book.total(v) > 200 {
				v.stop()
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-g.over.Done():
		}
	}
}

// sees notes how much could be lost now.
func (g *siege) sees(t *testing.T) (nodes map[string]nodeLook) {
	t.Helper()
	decided := g.book.decided()
	nodes = g.s.nodes(t)
	if nodes == nil {
		return nil
	}
	g.book.mu.Lock()
	defer g.book.mu.Unlock()
	for _, x := range g.readers {
		g.book.looks = append(g.book.looks, sight{g.book.life, x.name, decided, nodes[x.name].memory()})
	}
	return nodes
}

// settle has the scribes wait until all they wrote is decided, and all that waits for those away is on disk.
func (g *siege) settle(t *testing.T) {
	t.Helper()
	least := 5 << 20
	eventually(t, "messages to be written", func() bool { return g.book.bytes() >= least+g.rng.IntN(1<<20) })
	g.lasts(500)
	g.pause.Store(true)
	for _, x := range g.scribes {
		eventually(t, "all to be decided", x.heard)
	}
	eventually(t, "what waits to be on disk", func() bool {
		nodes := g.sees(t)
		for i, x := range g.readers {
			if r := g.role(i); (r == away || r == returns) && x.last() == nil && nodes[x.name].memory() > 0 {
				return false
			}
		}
		return true
	})
	eventually(t, "the ledger to add up", func() bool { return g.s.status(t).Ledger.Off == 0 })
	g.pause.Store(false)
}

// strike does what the moment of the kill is about.
func (g *siege) strike(t *testing.T) {
	t.Helper()
	was := g.book.replies()
	if g.when == "replaying" || g.when == "stopping" {
		for i, x := range g.readers {
			if g.role(i) == returns {
				x.attach(t, g.s)
			}
		}
	}
	switch g.when {
	case "expiring":
		eventually(t, "an answer", func() bool { return g.book.replies() > was })
	case "stopping":
		g.s.terminate(t)
		g.lasts(1000)
	}
}

// lasts lets less than so many milliseconds pass.
func (g *siege) lasts(most int) { lasts(time.Duration(g.rng.IntN(most*1000)) * time.Microsecond) }

// finish lets all come, and holds it against what was sent.
func (g *siege) finish(t *testing.T) {
	t.Helper()
	g.when = "the end"
	g.begin(t, g.book.life+1)
	for _, x := range g.readers {
		x.attach(t, g.s)
	}
	rng := rand.New(rand.NewPCG(0, 0))
	for _, x := range g.scribes {
		for _, r := range x.lanes {
			if _, err := x.write(rng, 1, 100, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all that is left", g.book.whole)
	eventually(t, "nothing to wait", func() bool {
		l := g.s.status(t).Ledger
		return l.Waiting+l.Stored == 0
	})
	g.s.stop(t)
	for _, x := range g.readers {
		x.last().ended(t, g.book)
	}
	g.book.judge(t)
}
