package routing

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// killed gives the ids of the messages that a kill of the process at this moment leaves on disk.
func (d *diskbed) killed() (ids string) {
	d.t.Helper()
	synctest.Wait()
	dir := d.t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "outbox"), os.DirFS(filepath.Join(d.dir, "outbox"))); err != nil {
		d.t.Fatal(err)
	}
	queues, err := storage.OpenQueues(storage.QueuesOptions{Dir: dir, Log: quiet()})
	if err != nil {
		d.t.Fatal(err)
	}
	defer queues.Close() // nothing was written
	var all []string
	err = queues.Outbox().Walk(func(target string, number uint64, _ int, _ []byte) error {
		value, err := queues.Outbox().Get(target, number)
		if err != nil {
			return err
		}
		var b block
		if err := b.decode(value); err != nil {
			return err
		}
		b.each(func(raw []byte, _ rec) { all = append(all, idOf(raw)) })
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// blocks gives how many blocks the outbox has.
func (d *diskbed) blocks() int {
	synctest.Wait()
	return d.queues.Outbox().Stats().Blocks
}

// proves makes a node of which the test says what it answers one that has answered its first ping.
func proves(t *testing.T, src *Source, p *tape) {
	t.Helper()
	answered(t, src, p.ping(t))
	graded(t, src, GradeProved)
}

// ping gives the id of the last ping that has come.
func (p *tape) ping(t *testing.T) string {
	t.Helper()
	all := barrierPing.FindAllStringSubmatch(p.since(), -1)
	if len(all) == 0 {
		t.Fatal("no ping has come")
	}
	return all[len(all)-1][1]
}

// What was taken along for a user who has moved stays on disk until it is safe at the new node: who is killed before has it still.
func TestMoveKeepsPlace(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.login("b", "bob@im/x")
		d.login("b", "ann@im/x")
		d.got("b")
		d.detach("b")
		for i := range 4 {
			d.say([]string{"bob@im", "ann@im"}[i%2], i)
		}
		time.Sleep(time.Second)
		if got := d.killed(); got != "m0 m1 m2 m3" {
			t.Fatalf("on disk is %q", got)
		}
		c, out := d.plugged("c", &Grant{Users: []string{"im"}, TakeOver: true})
		proves(t, c, out)
		d.srcs["c"] = c
		d.login("c", "bob@im/x")
		d.r.Move(mustAddress(t, "bob@im/x"), d.r.Node("b"), d.r.Node("c"))
		for range 10 { // c reads nothing
			time.Sleep(time.Second)
			if got := d.killed(); got != "m0 m1 m2 m3" {
				t.Fatalf("c has proved nothing, and on disk is %q", got)
			}
		}
		for range 10 {
			for _, m := range barrierPing.FindAllStringSubmatch(out.since(), -1) {
				answered(t, c, m[1])
			}
			time.Sleep(300 * time.Millisecond)
		}
		if got := d.killed(); got != "m1 m3" {
			t.Errorf("c has proved all, and on disk is %q", got)
		}
		delete(d.srcs, "c")
		c.Detach()
	})
}

// A node that is stuck with one stanza holds up nothing that came of others: the places of what was decided leave the disk.
func TestRetiredBesideStuck(t *testing.T) {
	withProof(t, func(d *diskbed) {
		const nodes = 20
		d.attach("a")
		s, out := d.plugged("s", &Grant{})
		proves(t, s, out)
		for n := range nodes {
			d.attach(fmt.Sprint("n", n))
			d.got(fmt.Sprint("n", n))
			d.detach(fmt.Sprint("n", n))
		}
		d.say("s", 0)
		for n := range nodes {
			for i := range 50 {
				d.say(fmt.Sprint("n", n), 1+i)
			}
		}
		time.Sleep(time.Second)
		if d.blocks() < nodes {
			t.Fatalf("%d blocks wait", d.blocks())
		}
		for range int(testGrace/time.Second) + 3 {
			time.Sleep(time.Second)
			d.got("a") // it answers pings
		}
		if st := d.queues.Outbox().Stats(); st.Bytes > 0 {
			t.Errorf("all graces are over, and %d blocks with %d bytes are on disk", st.Blocks, st.Bytes)
		}
		if st := d.r.Node("s").Queue(); st.Unproved != 1 {
			t.Errorf("s has proved what it has not: %+v", st)
		}
		s.Detach()
	})
}

// What was taken out of a block stays on disk until it is safe, whatever becomes of the block: it is written anew for another
// reason, its node comes back and proves the rest, or its grace is over.
func TestKeptOwed(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(k *keptbed)
		left string
	}{
		{"nothing", func(*keptbed) {}, "m2"},
		{"spilled again", func(k *keptbed) { k.q.keepAll() }, "m2"},
		{"read by its node", func(k *keptbed) {
			k.attach(1 << 30)
			k.writers.Wait()
			k.counts(0, 0)
		}, ""},
		{"the grace is over", func(k *keptbed) {
			b, err := k.q.takeOrClose(func() {})
			if err != nil || b == nil {
				t.Fatal(b, err)
			}
			k.q.paid([]*block{b})
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeptbed(t, 1<<20, true)
			for i := range 3 {
				k.put(chat(fmt.Sprint("m", 1+i), fmt.Sprintf("u%d@im", 1+i%2), 10), rec{})
			}
			k.pass(time.Second)
			got, left := k.takeOnly("u1@im/x")
			if got != "m1 m3" {
				t.Errorf("took %q", got)
			}
			c.then(k)
			k.pass(5 * time.Second)
			k.onDisk("m1 m2 m3")
			k.q.paid(left.blocks)
			k.pass(5 * time.Second)
			k.onDisk(c.left)
			if err := k.q.audit(); err != nil {
				t.Error(err)
			}
		})
	}
}
