package routing

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// diskbed is a testbed with an outbox on disk, of which stops and starts are seen.
type diskbed struct {
	*testbed
	dir    string
	queues *storage.Queues
	proof  bool // links are asked for it
	store  bool // messages for users without a session are stored
}

func withDisk(t *testing.T, f func(*diskbed)) {
	t.Helper()
	withDiskAnd(t, false, f)
}

// withProof does the same with links that are asked for proof.
func withProof(t *testing.T, f func(*diskbed)) {
	t.Helper()
	withDiskAnd(t, true, f)
}

func withDiskAnd(t *testing.T, proof bool, f func(*diskbed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &diskbed{testbed: newTestbed(t, nil), dir: t.TempDir(), proof: proof}
		d.r.Close()
		d.open()
		f(d)
		d.close()
		d.closeQueues()
	})
}

func (d *diskbed) open() {
	var err error
	if d.queues, err = storage.OpenQueues(storage.QueuesOptions{Dir: d.dir, Log: quiet()}); err != nil {
		d.t.Fatal(err)
	}
	cfg := Config{Server: "hub", NoProof: !d.proof, Outbox: d.queues.Outbox(), Settings: Settings{Users: []UserDomain{{Name: "im"}},
		Limits: stanza.DefaultLimits, Queue: 64 << 10, Outbox: 1 << 30, Grace: testGrace, Settle: testSettle}, Log: quiet()}
	if d.store {
		cfg.Offline, cfg.Settings.Users = d.queues.Offline(), []UserDomain{{Name: "im", Offline: PolicyStore}}
	}
	d.r = New(cfg, d.sessions, nobodyServes{})
	d.r.Returning()
}

func (d *diskbed) closeQueues() {
	if err := d.queues.Close(); err != nil {
		d.t.Error(err)
	}
}

// restart stops the router in orderly fashion, and starts another on the same disk.
func (d *diskbed) restart() {
	d.t.Helper()
	for name := range d.srcs {
		d.detach(name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	d.r.Drain(ctx)
	d.r.Close()
	l := d.r.Ledger()
	if ok, off := l.Adds(); !ok || l.Waiting > 0 {
		d.t.Errorf("the ledger is off by %d: %+v", off, l)
	}
	d.closeQueues()
	d.open()
}

// say sends one message, and now and then lets the disk follow.
func (d *diskbed) say(to string, i int) {
	d.t.Helper()
	d.send("a", fmt.Sprintf("CHAT from='a' to='%s' id='m%d'><body>%s</body></message>", to, i, strings.Repeat("x", 200)))
	if i%50 == 0 {
		synctest.Wait()
	}
}

// More than memory may hold waits for users not yet known: it comes in order when they appear, newer stanzas behind it, and a
// stop in between loses nothing of it.
func TestOverflow(t *testing.T) {
	for _, stops := range []bool{false, true} {
		t.Run(fmt.Sprint("a stop in between: ", stops), func(t *testing.T) {
			withDisk(t, func(d *diskbed) {
				d.attach("a")
				d.attach("b")
				d.login("b", "bob@im/x")
				d.restart()
				d.attach("a") // b is awaited: the view is not complete
				const n = 1000
				var want []string
				send := func(from, to int) {
					for i := from; i < to; i++ {
						d.say(fmt.Sprintf("u%d@im", i%3), i)
						want = append(want, fmt.Sprint("m", i))
					}
				}
				send(0, n)
				if over := d.r.overflow.len.Load(); over == 0 || over == n {
					t.Errorf("%d of %d stanzas are on disk", over, n)
				}
				if got := d.got("a"); got != "" {
					t.Errorf("a got %s", got)
				}
				if stops {
					d.restart()
					d.attach("a")
				}
				d.attach("b")
				for i := range 3 {
					d.login("b", fmt.Sprintf("u%d@im/x", i))
				}
				send(n, n+30)
				time.Sleep(testSettle + time.Second)
				synctest.Wait()
				got := map[string][]string{}
				for _, id := range strings.Fields(d.got("b")) {
					var i int
					_, _ = fmt.Sscanf(id, "m%d", &i)
					u := fmt.Sprint(i % 3)
					got[u] = append(got[u], id)
				}
				for i := range 3 {
					var should []string
					for k := i; k < len(want); k += 3 {
						should = append(should, want[k])
					}
					if g := strings.Join(got[fmt.Sprint(i)], " "); g != strings.Join(should, " ") {
						t.Errorf("u%d got %.300s, want %.300s", i, g, strings.Join(should, " "))
					}
				}
				if over := d.r.overflow.len.Load(); over != 0 || d.r.overflow.users != nil {
					t.Errorf("%d stanzas are left", over)
				}
			})
		})
	}
}

// Nobody appears: each is answered that it is not known, in the order of each user, and none with offline.
func TestOverflowSettles(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.login("b", "bob@im/x")
		d.restart()
		d.attach("a")
		const n = 600
		for i := range n {
			d.say("carol@im", i)
		}
		time.Sleep(testSettle + time.Second)
		synctest.Wait()
		got := strings.Fields(d.got("a"))
		if len(got) != n {
			t.Errorf("%d of %d were answered", len(got), n)
		}
		for i, answer := range got {
			if want := fmt.Sprintf("m%d:remote-server-timeout", i); answer != want {
				t.Errorf("answer %d is %s, want %s", i, answer, want)
				return
			}
		}
	})
}

// What waited for a node that does not come back after a restart is answered when its grace ends. It is not held meanwhile
// because of this very node: that would put it to the disk twice, and a kill then repeats all of it behind what is newer.
func TestGraceEndsAfterRestart(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.login("b", "bob@im/x")
		d.restart()
		d.attach("a").Confirmed()
		const n = 600
		for i := range n {
			d.say("bob@im/x", i)
		}
		time.Sleep(testGrace + time.Minute)
		synctest.Wait()
		if got := strings.Fields(d.got("a")); len(got) != n || got[0] != "m0:service-unavailable" || got[n-1] != fmt.Sprintf("m%d:service-unavailable", n-1) {
			t.Errorf("%d of %d were answered: %.100s", len(got), n, got)
		}
		if held := d.r.overflow.node.queue.stats().Queued; held > 0 {
			t.Errorf("%d were held", held)
		}
	})
}

// What comes for a user after a start, and is held in memory only, stays behind what was held for him at the stop and lies on
// disk: that says since when it has waited.
func TestOverflowIsFirst(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.attach("c")
		d.login("b", "eve@im/x")
		d.login("c", "eve@im/y")
		d.restart()
		d.attach("a") // b and c are awaited
		came := time.Now().UTC().Format(stampForm)
		d.send("a", "CHAT from='a' to='bob@im' id='m1'/>")
		time.Sleep(time.Second)
		d.restart()
		d.attach("a")
		d.send("a", "<iq type='get' from='a' to='bob@im/x' id='q1'><x xmlns='y'/></iq>CHAT from='a' to='bob@im' id='m2'/><presence from='a' to='bob@im/x' id='p1'/>")
		d.attach("b")
		d.login("b", "bob@im/x")
		d.send("a", "<iq type='get' from='a' to='bob@im/x' id='q2'><x xmlns='y'/></iq>CHAT from='a' to='bob@im' id='m3'/>")
		d.expect("b", "") // the view is not complete yet, and the overflow full
		d.attach("c").Confirmed()
		d.srcs["b"].Confirmed()
		d.srcs["a"].Confirmed()
		time.Sleep(time.Second)
		text := string(d.taken("b"))
		if got := strings.Join(wordsOf.FindAllString(text, -1), " "); got != "m1 q1 m2 p1 q2 m3" {
			t.Errorf("b got %s", got)
		}
		if want := "<delay xmlns='urn:xmpp:delay' from='hub' stamp='" + came + "'/>"; strings.Count(text, want) != 1 || strings.Count(text, "<delay") != 1 {
			t.Errorf("b got not one %s: %s", want, text)
		}
	})
}

// wordsOf finds the ids of stanzas that are not pings.
var wordsOf = regexp.MustCompile(`\b[mpq]\d\b`)
