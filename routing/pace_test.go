package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// pacebed has a node whose messages go nowhere, which reads nothing of the errors, and a disk for them that commits when it is
// told to, or at intervals.
type pacebed struct {
	*testbed
	disk *handDisk
	each chan time.Duration // between two commits from now on; 0: it hangs
	sent int
}

func newPacebed(t *testing.T) *pacebed {
	p := &pacebed{testbed: newTestbed(t, nil), disk: &handDisk{values: map[placeOnDisk][]byte{}}, each: make(chan time.Duration)}
	p.r.env.outbox = p.disk
	p.r.Returning()
	go p.run() // ends with close
	p.attach("n1")
	p.attach("n2")
	p.wires["n1"].room = 0
	return p
}

func (p *pacebed) run() {
	var each <-chan time.Time
	var tick *time.Ticker
	for {
		select {
		case d, ok := <-p.each:
			if tick != nil {
				tick.Stop()
			}
			each, tick = nil, nil
			if !ok {
				return
			}
			if d > 0 {
				tick = time.NewTicker(d)
				each = tick.C
			}
		case <-each:
			p.disk.commit(nil)
		}
	}
}

func (p *pacebed) close() {
	close(p.each)
	p.disk.commit(nil)
	p.testbed.close()
}

// breakDown has the disk fail with what it has not written, and refuse the rest.
func (p *pacebed) breakDown() {
	p.disk.mu.Lock()
	p.disk.refuse = errBroken
	p.disk.mu.Unlock()
	p.disk.commit(errBroken)
}

// pour sends so many messages that must be answered, in one piece, and gives how long that took.
func (p *pacebed) pour(n int) time.Duration {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, "CHAT to='x@nowhere' id='m%d'/>", p.sent)
		p.sent++
	}
	begun := time.Now()
	p.send("n1", b.String())
	return time.Since(begun)
}

// told has the node read, and holds what it gets to what it sent: an error for each message of which the account does not say that
// there was none, in order.
func (p *pacebed) told() {
	p.t.Helper()
	p.each <- 10 * time.Millisecond
	p.wires["n1"].give(1 << 30)
	time.Sleep(10 * time.Second)
	last, got := -1, strings.Fields(p.got("n1"))
	for _, word := range got {
		var i int
		if _, err := fmt.Sscanf(word, "m%d:remote-server-not-found", &i); err != nil || i <= last {
			p.t.Fatalf("%s follows m%d", word, last)
		}
		last = i
	}
	if untold := p.r.Ledger().Untold; len(got)+int(untold) != p.sent {
		p.t.Errorf("%d errors came and %d did not, of %d", len(got), untold, p.sent)
	}
}

func paced(t *testing.T, f func(p *pacebed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPacebed(t)
		f(p)
		p.close()
	})
}

// A node that floods others with what must be answered, and does not read, is not read from while the disk does not take the errors.
// None is lost, what it sent before goes on, and nobody takes the silence for its own.
func TestPace(t *testing.T) {
	paced(t, func(p *pacebed) {
		p.each <- time.Second
		begun, src := time.Now(), p.srcs["n1"]
		over := make(chan time.Duration)
		p.send("n1", "CHAT to='x@nowhere' id='x'/>")
		go func() {
			p.sent = 0
			p.send("n1", "CHAT to='n2' id='before'/>"+strings.Repeat("CHAT to='x@nowhere' id='y'/>", 300))
			over <- p.pour(5000)
		}()
		synctest.Wait()
		if !src.Paused() {
			t.Error("the reader does not wait")
		}
		p.expect("n2", "before")
		took := <-over
		if src.Paused() || took < 3*time.Second || took > 30*time.Second {
			t.Errorf("5000 errors took %v, and the reader waits: %v", took, src.Paused())
		}
		if l := p.r.Ledger(); l.Untold > 0 {
			t.Errorf("%d errors are lost after %v", l.Untold, time.Since(begun))
		}
		p.wires["n1"].give(1 << 30)
		p.each <- 10 * time.Millisecond
		time.Sleep(10 * time.Second)
		if got := strings.Fields(p.got("n1")); len(got) != 5301 || got[5300] != "m4999:remote-server-not-found" {
			t.Errorf("%d errors came", len(got))
		}
	})
}

// A disk that hangs costs the link one wait; then errors are lost, and counted, until it goes on.
func TestPaceHangs(t *testing.T) {
	paced(t, func(p *pacebed) {
		if took := p.pour(5000); took != paceMost {
			t.Errorf("the link stood for %v", took)
		}
		lost := p.r.Ledger().Untold
		if lost < 1000 {
			t.Errorf("%d errors are lost: where are the others?", lost)
		}
		if took := p.pour(1000); took != 0 || p.r.Ledger().Untold != lost+1000 {
			t.Errorf("it stood again, for %v, and %d are lost", took, p.r.Ledger().Untold)
		}
		p.each <- time.Second
		time.Sleep(1100 * time.Millisecond)
		lost = p.r.Ledger().Untold
		if took := p.pour(3000); took < time.Second || p.r.Ledger().Untold != lost {
			t.Errorf("the disk goes on: that took %v, and %d of 3000 are lost", took, p.r.Ledger().Untold-lost)
		}
		p.told()
	})
}

// A link that is to end does not wait for the disk for long, and then not any more.
func TestPaceHalt(t *testing.T) {
	paced(t, func(p *pacebed) {
		time.AfterFunc(3*time.Second, p.srcs["n1"].Halt)
		if took := p.pour(5000); took != 3*time.Second+paceLast {
			t.Errorf("its reader stood for %v", took)
		}
		p.srcs["n1"].Halt()
		if took := p.pour(1000); took != 0 {
			t.Errorf("and then for %v", took)
		}
		p.told()
	})
}

// Where the disk does not take what there is no room for, nobody waits for it.
func TestPaceRefused(t *testing.T) {
	for name, set := range map[string]func(p *pacebed){
		"the disk is full":         func(p *pacebed) { p.disk.refuse = errBroken },
		"limits.outbox":            func(p *pacebed) { p.r.most.Store(100_000) },
		"there is no disk":         func(p *pacebed) { p.r.env.outbox = nil },
		"the disk fails meanwhile": func(p *pacebed) { time.AfterFunc(time.Second, p.breakDown) },
	} {
		t.Run(name, func(t *testing.T) {
			paced(t, func(p *pacebed) {
				set(p)
				if took := p.pour(5000); took >= paceMost || p.r.Ledger().Untold == 0 {
					t.Errorf("the link stood for %v, and %d errors are lost", took, p.r.Ledger().Untold)
				}
				p.disk.mu.Lock()
				p.disk.refuse = nil
				p.disk.mu.Unlock()
				p.told()
			})
		})
	}
}

// Whatever the disk and the node do, the reader comes back within bounds, and each error comes once, in order, or is counted as lost; while the disk
// commits in time none is.
func TestPaceModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			p := newPacebed(t)
			defer p.close()
			hung, slow := false, true // the disk: it commits nothing; it has been slower than a wait
			p.each <- time.Second
			slow = false
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"pour", "pour", "disk", "read", "rest", "halt"}).Draw(rt, "step") {
				case "pour":
					n := rapid.IntRange(1, 3000).Draw(rt, "messages")
					before := p.r.Ledger().Untold
					took := p.pour(n)
					lost := p.r.Ledger().Untold - before
					halted := p.srcs["n1"].halting.Load()
					if lost > 0 && !hung && !slow && !halted {
						rt.Fatalf("%d of %d errors are lost", lost, n)
					}
					if most := paceMost; hung && took > most || halted && took > paceLast {
						rt.Fatalf("the reader stood for %v", took)
					}
				case "disk":
					each := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 4 * time.Second}).Draw(rt, "each")
					p.each <- each
					slow = slow || hung
					hung = each == 0
				case "read":
					p.wires["n1"].give(rapid.IntRange(0, 200_000).Draw(rt, "bytes"))
				case "rest":
					time.Sleep(5 * time.Second)
				case "halt":
					p.srcs["n1"].Halt()
				}
				synctest.Wait()
			}
			p.told()
		})
	})
}
