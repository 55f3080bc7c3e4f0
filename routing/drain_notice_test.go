package routing

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A node is told of each change once: of its own drain, of the server's, and at each attach while there is one.
func TestDrainNotice(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		node := func(name string, on bool) { tb.r.Node(name).SetDraining(tb.r, on) }
		node("a", false)
		tb.expect("a", "")
		node("a", true)
		node("a", true)
		tb.told("a", "drain")
		tb.expect("b", "")
		tb.r.SetDraining(true)
		tb.expect("a", "")
		tb.told("b", "drain")
		node("a", false)
		tb.expect("a", "") // the server is drained still
		tb.r.SetDraining(false)
		tb.told("a", "undrain")
		tb.told("b", "undrain")
		node("a", true)
		tb.told("a", "drain")
		tb.detach("a")
		tb.attach("a")
		tb.told("a", "drain")
		tb.detach("a")
		node("a", false)
		tb.attach("a") // another stream: it was told nothing
		tb.expect("a", "")
	})
}

// told expects one word of a drain.
func (tb *testbed) told(node, want string) {
	tb.t.Helper()
	if got := tb.got(node); strings.TrimRight(got, "0123456789") != want+"-" {
		tb.t.Errorf("%s got %q, want %s", node, got, want)
	}
}

// A link that goes on with another is told what has changed meanwhile, and nothing else.
func TestDrainNoticeResumed(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.counting("b", "one")
		d.r.SetDraining(true)
		d.unplug("b")
		_, out, err := d.resume("b", "one", 1) // it has counted the notice
		if err != nil {
			t.Fatal(err)
		}
		same(t, "resumed, drained as before", came(out.since()), "")
		d.unplug("b")
		d.r.SetDraining(false)
		if _, out, err = d.resume("b", "one", 1); err != nil {
			t.Fatal(err)
		}
		same(t, "resumed, drained no more", came(out.since()), "undrain-2")
		d.unplug("b")
		d.r.SetDraining(true)
		if _, out, err = d.resume("b", "one", 2); err != nil {
			t.Fatal(err)
		}
		same(t, "resumed, and drained", came(out.since()), "drain-3")
		d.unplug("b")
		_, out = d.counting("b", "two")
		same(t, "a new stream", came(out.since()), "drain-4")
		d.unplug("b")
	})
}

// What finds no room in the queue is told when there is some.
func TestDrainNoticeLate(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		w := tb.wires["b"]
		w.mu.Lock()
		w.room = 0
		w.mu.Unlock()
		for _, size := range []int{1000, 10} {
			for tb.r.Ping(tb.r.Node("b"), []byte("<iq type='get' id='p' from='hub' to='b'>"+strings.Repeat("x", size)+"</iq>")) {
			}
		}
		tb.r.SetDraining(true)
		tb.told("a", "drain")
		time.Sleep(time.Second)
		w.give(1 << 20)
		time.Sleep(time.Second)
		if words := tb.got("b"); !strings.HasPrefix(words[lastWord(words):], "drain-") || strings.Count(words, "drain") != 1 {
			t.Errorf("b got %q", words)
		}
	})
}

// While somebody tells, nobody else does; and who tells learns that there is more.
func TestDrainNoticeClaimed(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		n := tb.r.Node("a")
		turn := n.telling.Add(1)
		n.SetDraining(tb.r, true)
		tb.expect("a", "")
		if n.telling.CompareAndSwap(turn, 0) {
			t.Error("who tells does not look again")
		}
		n.telling.Store(0)
		n.tellDrain(tb.r)
		tb.told("a", "drain")
	})
}

// Whoever changes it, and however many at once: the last word of a peer is the truth.
func TestDrainNoticeLastWord(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			tb := newTestbed(t, nil)
			tb.r.Returning()
			tb.attach("a")
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for k := range 20 {
						tb.r.Node("a").SetDraining(tb.r, (i+k)%2 == 0)
					}
				})
			}
			all.Wait()
			words := tb.got("a")
			if on := len(words) > 0 && words[lastWord(words)] == 'd'; on != tb.r.Node("a").drained(tb.r) {
				t.Errorf("told %q, and drained: %v", words, !on)
			}
			tb.close()
		})
	}
}

// lastWord is where the last word of a text begins.
func lastWord(words string) int {
	for i := len(words) - 1; i > 0; i-- {
		if words[i-1] == ' ' {
			return i
		}
	}
	return 0
}
