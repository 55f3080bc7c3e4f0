package routing

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

const groupOfTwo = "<message id='g'><addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='u1@im'/><address type='to' jid='u2@im'/></addresses><body/></message>"

// A block that the disk is about to have is taken apart when the link drops: it is there once, and whole.
func TestKeptUngroups(t *testing.T) {
	k := newKeptbed(t, 1<<20, true)
	k.attach(0)
	k.put(chat("m1", "u1@im", 60<<10), rec{}) // a block of its own: the link has it
	k.put(chat("m2", "u1@im", 120<<10), rec{})
	k.put(groupOfTwo, rec{class: classGroup})
	k.q.spillWaiting()
	k.detach()
	k.disk.commit(nil)
	k.pass(3 * time.Second)
	k.onDisk("m1 m2 g g")
	k.counts(4, 4)
	k.attach(1 << 30)
	k.writers.Wait()
	k.counts(0, 0)
	k.onDisk("")
}

// What is taken out of a block leaves the disk too, though that refuses the block for a while, or commits it late.
func TestKeptWithout(t *testing.T) {
	for _, c := range []struct {
		name string
		when func(k *keptbed)
	}{
		{"at once", func(k *keptbed) { k.pass(3 * time.Second) }},
		{"refused", func(k *keptbed) {
			k.disk.refuse = storage.ErrNoSpace
			k.pass(3 * time.Second)
			k.disk.refuse = nil
			k.pass(time.Second)
		}},
		{"refused late", func(k *keptbed) {
			for range 100 {
				if k.armed.Load() > 0 && len(k.disk.calls) == 0 && !k.q.tick() {
					k.armed.Add(-1)
				}
				k.now.Add(int64(beatEach))
			}
			k.disk.commit(storage.ErrNoSpace)
			k.pass(3 * time.Second)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeptbed(t, 1<<20, true)
			k.put(chat("m1", "u1@im", 10)+"", rec{})
			k.put(chat("m2", "u2@im", 10), rec{})
			k.put(chat("m3", "u1@im", 10), rec{})
			k.pass(time.Second)
			k.onDisk("m1 m2 m3")
			if got := k.take("u1@im/x"); got != "m1 m3" {
				t.Errorf("took %s", got)
			}
			c.when(k)
			k.onDisk("m2")
			k.counts(1, 1)
			if got := k.take("u2@im/x"); got != "m2" {
				t.Errorf("took %s", got)
			}
			c.when(k)
			k.onDisk("")
			k.counts(0, 0)
			if m := k.q.stats().Memory; m > 0 {
				t.Errorf("%d bytes of memory for nothing", m)
			}
		})
	}
}

// A stanza that is taken out while its block is on the way to the disk leaves it too, when nothing else happens.
func TestKeptMeanwhile(t *testing.T) {
	k := newKeptbed(t, 1<<20, true)
	k.put(chat("m1", "u1@im", 10), rec{})
	k.put(chat("m2", "u2@im", 10), rec{})
	for range 100 {
		if len(k.disk.calls) == 0 {
			k.q.tick()
		}
		k.now.Add(int64(beatEach))
	}
	if got := k.take("u1@im/x"); got != "m1" {
		t.Errorf("took %s", got)
	}
	k.q.flush() // whatever was promised
	for k.armed.Load() > 0 && k.q.tick() {
		k.now.Add(int64(beatEach))
	}
	k.armed.Store(0)
	k.disk.commit(nil)
	k.pass(3 * time.Second)
	k.onDisk("m2")
	k.counts(1, 1)
}

// A block that is proved at the very moment in which it is put does not stay on disk for ever.
func TestKeptNotWanted(t *testing.T) {
	k := newKeptbed(t, 100<<10, true)
	k.attach(0)
	k.disk.before = func() {
		k.w.give(1 << 30)
		for k.q.stats().Waiting > 0 {
			runtime.Gosched()
		}
	}
	k.put(chat("m1", "u1@im", 90<<10), rec{})
	k.put(chat("m2", "u1@im", 80<<10), rec{})
	for range 100 {
		if k.disk.puts == 0 {
			k.q.tick()
		}
		k.now.Add(int64(beatEach))
	}
	k.disk.commit(nil)
	k.onDisk("")
	k.counts(0, 0)
	k.writers.Wait()
	if k.disk.puts == 0 {
		t.Error("nothing was put")
	}
}

// Of a block that was written in part, and proved as far as it was written, the rest goes to the disk at the drop.
func TestKeptRest(t *testing.T) {
	k := newKeptbed(t, 1<<20, false)
	one := len(strings.ReplaceAll(chat("m1", "u1@im", 50<<10), "CHAT", "<message type='chat'"))
	k.attach(5 * one)
	k.answer()
	for i := range 6 {
		k.put(chat(fmt.Sprint("m", i), "u1@im", 50<<10), rec{}) // two in a block, and five in a window
	}
	k.pass(4 * quickReply) // a ping follows the fifth; and the window stays as it is
	k.answer()
	k.detach()
	k.pass(time.Second)
	if s := k.q.stats(); s.Delivered != 5 {
		t.Errorf("proved %d", s.Delivered)
	}
	k.onDisk("m5")
	k.counts(1, 1)
	for range 3 { // whatever is cut in the middle, the queue is a direct one in the end
		k.attach(5)
		k.pass(time.Second)
		k.detach()
		k.pass(time.Second)
	}
	k.attach(1 << 30)
	for range 10 {
		k.writers.Wait()
		k.answer()
		k.pass(100 * time.Millisecond)
	}
	k.counts(0, 0)
	k.onDisk("")
	if s := k.q.stats(); s.Spilling || s.Memory > 0 || s.Unproved > 0 {
		t.Errorf("afterwards: %+v", s)
	}
}

// A spilled block that was cut in the middle is counted once.
func TestKeptCut(t *testing.T) {
	k := newKeptbed(t, 1<<20, false)
	for i := range 10 {
		k.put(chat(fmt.Sprint("m", i), "u1@im", 100), rec{})
	}
	k.pass(time.Second)
	for range 3 {
		k.attach(500)
		for !k.q.stats().Blocked {
			runtime.Gosched()
		}
		if k.q.stats().Unproved == 0 {
			t.Fatal("nothing was written")
		}
		k.detach()
		k.pass(time.Second)
		k.counts(10, 10)
	}
	k.attach(1 << 30)
	for range 10 {
		k.writers.Wait()
		k.answer()
		k.pass(100 * time.Millisecond)
	}
	if s := k.q.stats(); s.Spilling || s.Waiting > 0 || s.Memory > 0 || s.Unproved > 0 {
		t.Errorf("afterwards: %+v", s)
	}
	k.onDisk("")
}

// A block behind which a stanza finds no room goes to the disk, though it is not full.
func TestKeptBehind(t *testing.T) {
	k := newKeptbed(t, 1<<20, true)
	k.put(chat("m1", "u1@im", 50<<10), rec{})
	k.put(chat("m2", "u1@im", 100<<10), rec{})
	k.put(chat("m3", "u1@im", 10), rec{})
	k.pass(time.Second)
	k.onDisk("m1 m2 m3")
	k.counts(3, 3)
}

// Users who move away, one after the other, do not bring all that is on disk into memory for good.
func TestKeptMemory(t *testing.T) {
	const users, limit = 200, 200 << 10
	k := newKeptbed(t, limit, true)
	for i := range 10 * users {
		k.put(chat(fmt.Sprint("m", i), fmt.Sprintf("u%d@im", i%users), 1000), rec{})
		if i%20 == 0 {
			k.disk.commit(nil)
		}
	}
	k.pass(time.Second)
	k.counts(10*users, 10*users)
	for i := range users / 2 {
		if n := len(strings.Fields(k.take(fmt.Sprintf("u%d@im/x", i)))); n != 10 {
			t.Fatalf("took %d", n)
		}
		k.pass(beatEach)
	}
	k.pass(3 * time.Second)
	k.counts(5*users, 5*users)
	if m := k.q.stats().Memory; m > limit+2*largeBlock {
		t.Errorf("%d bytes of memory", m)
	}
	if n := len(strings.Fields(k.disk.ids())); n != 5*users {
		t.Errorf("%d stanzas on disk", n)
	}
}

// A letter goes along with its user, also from a block of which the disk has the rest.
func TestKeptLetter(t *testing.T) {
	k := newKeptbed(t, 1<<20, true)
	k.attach(0)
	k.put(chat("m0", "u2@im", 10), rec{}) // a block of its own: the link has it
	k.put(chat("l1", "u1@im", 10), rec{class: classStored, at: 7})
	k.put(chat("m2", "u2@im", 10), rec{})
	k.detach()
	k.pass(time.Second)
	k.onDisk("m0 l1 m2")
	if got := k.take("u1@im/x"); got != "l1" {
		t.Errorf("took %q", got)
	}
	k.pass(3 * time.Second)
	k.onDisk("m0 m2")
	k.counts(2, 2)
}

// A letter that has arrived is an ordinary stanza: what may be sent again after a drop goes to the disk with the others.
func TestKeptLetterArrived(t *testing.T) {
	k := newKeptbed(t, 1<<20, false)
	k.attach(0)
	k.put(chat("m0", "u2@im", 10), rec{}) // a block of its own: the link has it
	k.put(chat("l1", "u1@im", 10), rec{class: classStored, at: 7})
	k.put(chat("m2", "u2@im", 10), rec{})
	k.detach()
	k.pass(time.Second)
	k.onDisk("m0 l1 m2")
	k.attach(1 << 30)
	k.writers.Wait()
	k.pass(11 * time.Second) // nobody answers: grade written
	if fmt.Sprint(k.letters) != "[7]" {
		t.Errorf("letters that arrived: %v", k.letters)
	}
	k.detach()
	k.pass(3 * time.Second)
	k.onDisk("m0 l1 m2")
	k.counts(3, 3)
}

// Of the presence of a pair the last counts, wherever the others wait.
func TestKeptPresence(t *testing.T) {
	k := newKeptbed(t, 1<<20, true)
	k.attach(0)
	at := func(id, from string) {
		k.put(fmt.Sprintf("<presence id='%s' from='%s' to='node'/>", id, from), rec{})
	}
	at("p1", "a@im")
	at("p2", "b@im")
	at("p3", "a@im")
	at("p4", "b@im")
	k.detach()
	at("p5", "b@im")
	at("p6", "a@im")
	at("p7", "a@im")
	at("p8", "c@im")
	k.pass(3 * time.Second)
	k.onDisk("p5 p7 p8")
	at("p9", "b@im") // p5 is on disk only
	at("p10", "c@im")
	k.pass(3 * time.Second)
	k.attach(1 << 30)
	k.writers.Wait()
	k.w.mu.Lock()
	got := regexp.MustCompile(` id='(p\d+)'`).FindAllString(string(k.w.got), -1)
	k.w.mu.Unlock()
	if all := strings.Join(got, ""); all != " id='p7' id='p9' id='p10'" {
		t.Errorf("got %s", all)
	}
	k.counts(0, 0)
	if s := k.q.stats(); s.Replaced != 7 {
		t.Errorf("replaced %d", s.Replaced)
	}
}

// While what waited is written, iqs go behind it, if that is no more than memory could hold; an answer of the server to the node
// goes behind more. None of them is ever on disk, nor holds more in memory than may be.
func TestKeptIQs(t *testing.T) {
	const limit = 200 << 10
	k := newKeptbed(t, limit, true)
	small := "<iq type='get' id='q' to='u1@im/x'><x xmlns='y'/></iq>"
	answer := "<iq type='result' id='%d' to='node'/>"
	put := func(raw string, c class, origin storage.NodeID) putResult {
		res, flush := k.q.put(&stanza.Header{Raw: []byte(raw)}, nil, rec{class: c, origin: origin})
		if flush {
			k.q.flush()
		}
		return res
	}
	k.put(chat("m1", "u1@im", 100), rec{})
	k.pass(time.Second)
	k.attach(0)
	if res := put(small, classRequest, 1); res != putOK {
		t.Errorf("a request behind a little: %d", res)
	}
	if res := put(fmt.Sprintf(answer, 0), classKeep, 0); res != putOK {
		t.Errorf("an answer behind a little: %d", res)
	}
	taken, refused := 0, 0
	for i := range 2000 {
		k.put(chat(fmt.Sprint("n", i), "u1@im", 2000), rec{})
		k.pass(beatEach)
		if put(fmt.Sprintf(answer, i), classKeep, 0) == putOK {
			taken++
		} else {
			refused++
		}
	}
	if res := put(small, classRequest, 1); res != putFull {
		t.Errorf("a request behind much: %d", res)
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d answers were taken and %d not", taken, refused)
	}
	if m := k.q.stats().Memory; m > limit+readAhead+5*largeBlock {
		t.Errorf("%d bytes of memory", m)
	}
	if ids := k.disk.ids(); strings.Contains(ids, "q") || !strings.Contains(ids, "n1999") {
		t.Errorf("on disk: %.300s", ids)
	}
	k.detach()
	k.pass(3 * time.Second)
	k.counts(2001, 2001)
}

// A disk that had no room for a block is asked anew for the next, when that block went to the link after all.
func TestKeptNoMore(t *testing.T) {
	k := newKeptbed(t, 1<<20, true)
	k.attach(0)
	k.put(chat("m1", "u1@im", 10<<10), rec{})
	k.put(chat("m2", "u1@im", 10<<10), rec{})
	k.disk.refuse = storage.ErrNoSpace
	k.q.spillWaiting()
	k.pass(time.Second)
	if k.q.disk.full != OutboxDisk {
		t.Fatalf("the disk was not asked: %v", k.q.disk.full)
	}
	k.disk.refuse = nil
	k.w.give(1 << 30)
	k.writers.Wait()
	k.pass(time.Second)
	k.counts(0, 0)
	if k.q.disk.full != None {
		t.Errorf("nothing waits for the disk, and it is still taken for full (%v)", k.q.disk.full)
	}
}
