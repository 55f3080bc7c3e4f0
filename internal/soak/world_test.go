package soak

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/fault"
)

// world is a soak: one server, three nodes, and all that is known of them. Its acts are done by one goroutine, that of the test.
type world struct {
	s       *server
	book    *book
	table   *table
	members []*member
	ctx     context.Context // ends with the test
	cancel  context.CancelFunc
	running sync.WaitGroup
	kills   atomic.Int64 // of the server
	seen    int          // bytes of its log
	told    output       // by the SDK
	acts    []act
	heals   []heal
	begun   time.Time
	drops   int
	starts  int
	jumps   int // of the server's clock
	full    int // times that its disk was
	crashed int // times that the process with the SDK was killed
	first   int // the step that has begun
}

// heal ends a fault.
type heal struct {
	at time.Time
	do func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	spills := *seed%2 == 0
	w := &world{s: newServer(t, spills), book: newBook(spills), table: newTable(), begun: time.Now()}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.s.start(t)
	t.Cleanup(func() {
		w.cancel()
		w.running.Wait()
	})
	for who := range names {
		w.members = append(w.members, newMember(t, w, who))
	}
	w.await(t, "all to be attached", w.whole) // the server knows nothing of a node that never was
	return w
}

// act does one act, and lets its pause pass.
func (w *world) act(t *testing.T, a act) {
	w.heal(time.Now())
	switch m := w.members[a.who]; a.verb {
	case "send", "burst", "group", "presence", "ask", "flush", "announce", "withdraw":
		w.begin(a)
		pause(w.ctx, a.pause)
		return
	case "kill":
		w.kills.Add(1)
		w.s.kill()
		w.again(t)
	case "restart":
		w.s.room(t) // else what was announced and is not on disk makes it end with an error
		w.s.stop(t)
		w.again(t)
	case "jump":
		w.jumps++
		w.mails(a)
		pause(w.ctx, 2*time.Millisecond) // it comes in the middle
		w.s.jump(time.Duration(a.count-20) * 15 * time.Minute)
		w.mails(a)
	case "full":
		w.fills(t, a)
	case "crash":
		w.crashes(a)
	default:
		w.drops++
		w.later(a, m.suffer(a))
	}
	w.acts = append(w.acts, a)
	pause(w.ctx, a.pause)
}

// fills fills the disk of the server, if it has a small one: with less than 96 MiB free nothing is written, and with a little
// more nothing new is taken.
func (w *world) fills(t *testing.T, a act) {
	t.Helper()
	if w.s.disk == "" {
		return
	}
	w.table.fill()
	if err := allocate(w.s.disk, uint64(60+a.size/4)<<20); err != nil {
		t.Fatal(err)
	}
	w.full++
	w.later(a, func() { w.s.room(t) })
	w.mails(a)
}

// mails has all write to one who is seldom there: what is stored for him is what an act is about.
func (w *world) mails(a act) {
	for who := range names {
		w.begin(act{verb: "send", who: who, whom: seldom, count: 1 + a.count/4, size: a.size})
	}
}

// crashes kills the process of the node that has the SDK, whoever the act is of, in the middle of what it is handling; it starts again later.
func (w *world) crashes(a act) {
	m := w.members[acked]
	for _, who := range []int{proved, written} {
		w.begin(act{verb: "send", who: who, whom: acked, count: 5 * a.count, size: a.size})
	}
	pause(w.ctx, time.Duration(20+2*a.count)*time.Millisecond)
	if !m.node.kill() {
		return
	}
	w.crashed++
	w.book.died()
	w.later(a, func() { m.do(m.node.again) })
}

// begin has a member do an act, when it has done all else.
func (w *world) begin(a act) {
	w.acts = append(w.acts, a)
	m := w.members[a.who]
	switch a.verb {
	case "flush":
		m.do(m.flushes)
	case "announce", "withdraw":
		m.do(func() { m.says(targets[a.whom], a.verb == "announce") })
	default:
		m.do(func() { m.sends(a) })
	}
}

// again starts the server again.
func (w *world) again(t *testing.T) {
	t.Helper()
	w.grudge()
	w.seen = 0
	w.starts++
	w.book.resend() // as soon as that; OnDetach may be late
	w.s.start(t)
}

// suffer does something to a member's network, or to the member, and gives what ends it; nil: it is over.
func (m *member) suffer(a act) func() {
	switch a.verb {
	case "reset":
		m.net.Reset(fault.Both)
	case "half-open":
		m.net.HalfOpen()
	case "stall":
		m.net.Stall(fault.Both)
		return func() { m.net.Resume(fault.Both) }
	case "drip":
		m.net.Drip(fault.Both, 500, time.Millisecond)
		return func() { m.net.Drip(fault.Both, 0, 0) }
	case "delay":
		m.net.Delay(fault.Both, 20*time.Millisecond)
		return func() { m.net.Delay(fault.Both, 0) }
	case "partition":
		m.net.Partition()
		return m.net.Heal
	case "die":
		m.setDown(true)
		m.net.Partition()
		m.net.Reset(fault.Both)
		return func() { m.setDown(false); m.net.Heal() }
	}
	return nil
}

func (m *member) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *member) sends(a act) {
	if a.verb == "presence" || a.verb == "ask" || a.verb == "group" {
		a.count = 1 + a.count%4
	}
	if a.verb == "ask" && a.whom == written {
		return // it does not answer
	}
	if m.node != nil {
		m.node.send(a)
	} else {
		m.send(a)
	}
}

func (m *member) flushes() {
	if m.node != nil {
		m.node.flush()
	} else {
		m.flush()
	}
}

func (m *member) says(name string, there bool) {
	if m.node != nil {
		m.node.say(name, there)
	} else {
		m.say(name, there)
	}
}

// later keeps what ends a fault.
func (w *world) later(a act, do func()) {
	if heals := do; a.lasts >= grace { // the node may be back while what waits for it is decided again: no log tells of that
		node := domainOf(names[a.who])
		if a.verb == "crash" {
			node = domainOf(names[acked])
		}
		do = func() {
			heals()
			w.table.lapse()
			w.book.lapse(node)
		}
	}
	if do != nil {
		w.heals = append(w.heals, heal{time.Now().Add(a.lasts), do})
	}
}

// heal ends the faults that are over at a time.
func (w *world) heal(now time.Time) {
	left := w.heals[:0]
	for _, h := range w.heals {
		if h.at.After(now) {
			left = append(left, h)
		} else {
			h.do()
		}
	}
	w.heals = left
}

// lapses are what the server says when sessions end that nobody has ended.
var lapses = regexp.MustCompile(`(?:did not come back within its grace|that the node did not confirm).* node=(\S+)`)

// grudge looks through the log of the server for what changes what may be.
func (w *world) grudge() {
	text := w.s.out.text(w.seen)
	w.seen += len(text)
	for _, found := range lapses.FindAllStringSubmatch(text, -1) {
		w.table.lapse()
		w.book.lapse(found[1])
	}
	if at := strings.Index(text, "panic"); at >= 0 {
		w.book.refuse("the server panics: %s", text[at:min(len(text), at+2000)])
	}
}

// settle heals all, waits until it is quiet, and holds everything against everything.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for len(w.heals) > 0 { // the long ones too: what they are about takes its time
		next := w.heals[0].at
		for _, h := range w.heals {
			if h.at.Before(next) {
				next = h.at
			}
		}
		pause(w.ctx, time.Until(next))
		w.heal(time.Now())
	}
	w.await(t, "the members to have done all", w.idle)
	w.await(t, "all to be attached", w.whole)
	for _, m := range w.members {
		m.do(func() { m.sends(act{verb: "presence", whom: (m.who + 1) % len(names)}) })
		m.do(m.flushes) // behind it all is decided, and the SDK knows that nothing is to be sent again
	}
	w.await(t, "the members to have spoken", w.idle)
	w.await(t, "nothing to wait", w.still)
	kills := int(w.kills.Load())
	w.grudge()
	w.await(t, "all that must come", func() error {
		var status statusLook
		if w.table.short() && w.s.look("status", &status) == nil {
			w.book.untell(status.Ledger.Untold, kills, w.table.alone)
		}
		if n, _, first := w.book.lacks(kills, w.table.alone); n > 0 {
			return fmt.Errorf("%d stanzas have neither come nor been answered, e.g. %s", n, first)
		}
		return nil
	})
	w.await(t, "nothing to move", w.rests)
	w.grudge()
	w.judge(t) // what may be is known now
	if w.table.short() {
		pause(w.ctx, time.Second) // the server tries again whether there is room
	}
	w.book.settle(kills, w.table.alone)
	w.table.quiet()
	w.failed(t)
	w.first = len(w.acts)
}

// failed ends the test if something is wrong.
func (w *world) failed(t *testing.T) {
	t.Helper()
	if all := w.book.take(); len(all) > 0 || t.Failed() {
		w.fail(t, "%s", strings.Join(all, "\n"))
	}
}

// fail tells what was done, and ends the test.
func (w *world) fail(t *testing.T, format string, args ...any) {
	t.Helper()
	from := max(0, len(w.acts)-50)
	for i, a := range w.acts[from:] {
		t.Logf("act %d: %v", from+i, a)
	}
	t.Logf("the end of the server's log:\n%s", w.s.log())
	t.Logf("the end of the SDK's log:\n%s", tail(w.told.text(0)))
	t.Fatalf("step of acts %d to %d, after %d kills: %s\nreplay: go test ./internal/soak -count=1 -run %s -seed %d -for %v -timeout 60m",
		w.first, len(w.acts), w.kills.Load(), fmt.Sprintf(format, args...), t.Name(), *seed, *lasts)
}

// await waits until something gives no error.
func (w *world) await(t *testing.T, what string, check func() error) {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(late) {
			w.fail(t, "wait in vain for %s: %v\n%s", what, err, strings.Join(w.book.take(), "\n"))
		}
		pause(w.ctx, 10*time.Millisecond)
	}
}

// idle reports whether the members have done what they were to do.
func (w *world) idle() error {
	for _, m := range w.members {
		if n := m.left.Load(); n > 0 {
			return fmt.Errorf("%s has %d things to do", m.name, n)
		}
	}
	return nil
}
