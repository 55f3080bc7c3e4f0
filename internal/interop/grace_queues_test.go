package interop

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

const mostErrors = 20_000 // that the end of a grace may make in a second

// TestGraceQueues kills a node for which 100 000 stanzas wait, and lets its grace pass. Two of its users move to other
// nodes, one before it ends and one while it ends, and get what is for them there; all else is answered, once, at no more than the
// pace. Other traffic goes on.
func TestGraceQueues(t *testing.T) {
	messages := 100_000
	if testing.Short() {
		messages = 20_000
	}
	b := newBook(0)
	b.ends = 0
	old := &reader{b: b, name: "node", users: []string{userOf("stays"), userOf("early"), userOf("late")}}
	early, late := &reader{b: b, name: "early", undated: true}, &reader{b: b, name: "late", undated: true}
	x := newScribe(b, "w", map[string]string{"node": "node.im.example", "stays": userOf("stays"), "early": userOf("early"), "late": userOf("late")})
	s := serve(t, filepath.Join(t.TempDir(), "data"), "timers.grace=1s", "limits.queue=4MiB")
	x.attach(t, s)
	v := old.attach(t, s)
	eventually(t, "the answer to the first word", func() bool { return b.total(v) > 0 })
	v.stop()
	beside := newEcho(t, s)
	rng := rand.New(rand.NewPCG(2, 2))
	for range messages / 200 {
		if _, err := x.write(rng, 200, 500, x.lanes...); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the messages to be decided", x.heard)
	}
	t.Logf("others wait for %v while it fills", beside.figures())
	v.dies(t)
	begun := time.Now()
	early.attach(t, s)
	eventually(t, "an answer", func() bool { return b.replies() > 0 })
	_ = beside.figures()
	late.attach(t, s)
	eventually(t, "all that is left", b.whole)
	took := time.Since(begun)
	t.Logf("others wait for %v while the grace ends", beside.figures())
	n := b.replies()
	t.Logf("%d errors in %v", n, (took - time.Second).Round(time.Millisecond))
	if most := int(float64(mostErrors) * (took - time.Second).Seconds()); n > most {
		t.Errorf("%d errors in %v after the grace of 1 s, %d are the most", n, took, most)
	}
	if n > messages*3/4 {
		t.Errorf("%d errors of %d messages: nothing came to those who moved", n, messages)
	}
	beside.stop(t)
	eventually(t, "nothing to wait", func() bool {
		l := s.status(t).Ledger
		return l.Waiting+l.Stored == 0
	})
	s.stop(t)
	b.once()
	b.judge(t)
	if _, lost := b.account(t); lost > 0 {
		t.Errorf("%d are lost", lost)
	}
}

// echo is a node that sends itself a message each millisecond, and notes how long they take.
type echo struct {
	node *node
	end  chan struct{}
	over chan struct{}

	mu   sync.Mutex
	took []time.Duration // guarded by mu
}

func newEcho(t *testing.T, s *server) *echo {
	t.Helper()
	x := &echo{end: make(chan struct{}), over: make(chan struct{})}
	x.node = attached(t, s, "echo.im.example", x.take)
	go x.talk() // stop waits for it
	return x
}

func (x *echo) talk() {
	defer close(x.over)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		id := strconv.FormatInt(time.Now().UnixNano(), 10)
		if x.node.say("%s", chat(id, "echo.im.example", "echo.im.example", "hello")) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-x.end:
			return
		}
	}
}

func (x *echo) take(e element) {
	sent, err := strconv.ParseInt(e.ID, 10, 64)
	if err != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.took = append(x.took, time.Since(time.Unix(0, sent)))
}

// figures gives the median, the 99th of 100 and the worst of the messages since it was last asked.
func (x *echo) figures() []time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.took
	x.took = nil
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return []time.Duration{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

func (x *echo) stop(t *testing.T) {
	t.Helper()
	close(x.end)
	wait(t, x.over, "the end of the echo")
}
