package routing

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// slowly attaches a counting node whose link takes so many bytes.
func (d *diskbed) slowly(name, id string, room int) *wire {
	d.t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
	src, err := d.r.Attach(name, &Grant{Users: []string{"im"}, TakeOver: true}, sc)
	if err != nil {
		d.t.Fatal(err)
	}
	w := newWire(1 << 30)
	if err := src.StartAcked(w, id, nil); err != nil {
		d.t.Fatal(err)
	}
	w.room = room
	d.srcs[name], d.wires[name] = src, w
	return w
}

// moves logs a user in elsewhere.
func (d *diskbed) moves(jid, from, to string) {
	d.t.Helper()
	d.login(to, jid)
	d.r.Move(mustAddress(d.t, jid), d.r.Node(from), d.r.Node(to))
}

const asks = "<iq type='get' from='a' to='bob@im/x' id='q1'><x xmlns='y'/></iq>"

// Of two users who leave a node whose link took the stanza of one of them, both get theirs.
func TestMoveWhileHeld(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.attach("c")
		d.slowly("b", "id1", 290)
		d.login("b", "bob@im/x")
		d.login("b", "eve@im/x")
		d.send("a", "CHAT from='a' to='bob@im/x' id='m1'><body>"+strings.Repeat("x", 200)+"</body></message>CHAT from='a' to='eve@im/x' id='m2'/>")
		synctest.Wait()
		d.detach("b")
		if st := d.r.Node("b").Queue(); st.Unproved != 1 || st.Waiting != 1 {
			t.Fatalf("one is written, and one waits: %+v", st)
		}
		d.moves("eve@im/x", "b", "c")
		d.expect("c", "m2")
		if _, known := d.r.Resumable("b", "id1"); !known {
			t.Error("who leaves takes what was not written, and no more")
		}
		d.moves("bob@im/x", "b", "c")
		d.expect("c", "m1")
		if _, known := d.r.Resumable("b", "id1"); known {
			t.Error("what was written may not go elsewhere, and be resumed")
		}
	})
}

// A request whose user has left the node it waited for is answered, once.
func TestRequestOfWhoMoved(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.attach("c")
		d.slowly("b", "id1", 0)
		d.login("b", "bob@im/x")
		d.send("a", asks)
		synctest.Wait()
		d.detach("b")
		d.expect("a", "")
		d.moves("bob@im/x", "b", "c")
		time.Sleep(2 * testGrace)
		d.expect("c", "")
		d.expect("a", "q1:remote-server-timeout")
	})
}

// Where nothing is kept, a stop answers a request that waits for a link to be resumed once.
func TestStopWhileRequestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diskbed{testbed: newTestbed(t, nil)}
		d.r.Returning()
		d.attach("a")
		d.slowly("b", "id1", 0)
		d.login("b", "bob@im/x")
		d.send("a", asks)
		synctest.Wait()
		d.detach("b")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		d.r.Drain(ctx)
		d.expect("a", "q1:remote-server-timeout")
		d.close()
	})
}

// A link that is to be resumed while its grace is being ended waits for that. What comes of it, the grace does not stay open.
func TestResumeWhileGraceEnds(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(d *diskbed, n *Node)
		resumed   bool
		state     NodeState // at once
	}{
		{"it waits for its turn", func(d *diskbed, n *Node) { <-d.r.expirer }, true, Attached},
		{"it takes back", func(d *diskbed, n *Node) { d.r.takeBack(n); <-d.r.expirer }, false, Away},
	} {
		t.Run(c.name, func(t *testing.T) {
			withProof(t, func(d *diskbed) {
				d.attach("a")
				d.counting("b", "id1")
				d.login("b", "bob@im/x")
				d.say("bob@im/x", 1)
				time.Sleep(7 * time.Millisecond) // a grace looks for who waits at other moments than the beat
				d.unplug("b")
				d.r.expirer <- struct{}{} // another grace is being ended
				time.Sleep(testGrace + time.Second + 5*time.Millisecond)
				n := d.r.Node("b")
				var err error
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _, err = d.resume("b", "id1", 0)
				}()
				for !n.wanted.Load() {
					select {
					case <-done:
						t.Fatalf("nobody waited: %v", err)
					case <-time.After(time.Millisecond):
					}
				}
				c.meanwhile(d, n)
				<-done
				if (err == nil) != c.resumed || n.State() != c.state {
					t.Fatalf("it is resumed: %v, and the node is %s", err, n.State())
				}
				if c.resumed {
					d.unplug("b")
				}
				time.Sleep(testGrace + 5*time.Second)
				d.expect("a", "m1:service-unavailable")
				if rec, _ := d.sessions.Node(n.ID()); n.State() != Past || rec.State != storage.Gone {
					t.Errorf("after the grace it is %s, %v", n.State(), rec.State)
				}
			})
		})
	}
}

// A link that would go on after the end of its node's grace changes nothing of that.
func TestResumeAfterGrace(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.counting("b", "id1")
		d.unplug("b")
		n := d.r.Node("b")
		n.mu.Lock()
		n.expiring = make(chan struct{})
		n.mu.Unlock()
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, err = d.resume("b", "id1", 0)
		}()
		synctest.Wait()
		d.r.takeBack(n)
		n.setState(d.r, Past)
		n.mu.Lock()
		close(n.expiring)
		n.expiring = nil
		n.mu.Unlock()
		<-done
		var not *NotResumed
		if src, _ := n.Source(); !errors.As(err, &not) || n.State() != Past || src != nil {
			t.Errorf("it is resumed: %v, and the node is %s, its link %v", err, n.State(), src)
		}
	})
}

// What a node is, and has said, is the same after a resumption.
func TestResumeKeeps(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		first, _ := d.counting("b", "id1")
		d.login("b", "bob@im/x")
		first.sync = SyncState{Running: true, Mark: first.mark}
		n := d.r.Node("b")
		last := first
		for i := range 3 {
			feed(t, last, "<message from='b' to='a' id='x'/><message from='b' to='a' id='y'/>")
			d.unplug("b")
			if n.Stream() != first.Stream() {
				t.Error("the stream has ended with its link")
			}
			n.SetDraining(d.r, i == 1)
			src, _, err := d.resume("b", "id1", 0)
			if err != nil {
				t.Fatal(err)
			}
			if src.sync != first.sync || src.inc != first.inc || src.mark != first.mark || src.TakesSessions() == (i == 1) || src.Stream() != first.Stream() || n.Stream() != src.Stream() {
				t.Errorf("it has another state: %+v", src)
			}
			want := storage.Up
			if i == 1 {
				want = storage.Draining
			}
			if rec, _ := d.sessions.Node(n.ID()); rec.State != want || rec.Inc != first.inc {
				t.Errorf("the table has it that it is %+v", rec)
			}
			last = src
		}
		for _, f := range d.r.Facts() {
			if f.Domain == "b" && (f.In != 6 || f.Sessions != 1 || f.Links != 1) {
				t.Errorf("%+v", f)
			}
		}
		d.expect("a", "x y x y x y")
		d.unplug("b")
		if n.home.coming.Load() != 0 || n.home.links != 0 {
			t.Errorf("%d links are coming, and %d are there", n.home.coming.Load(), n.home.links)
		}
		next, _ := d.counting("b", "id2")
		if n.Stream() == first.Stream() || n.Stream() != next.Stream() {
			t.Error("a stream goes on that cannot be resumed any more")
		}
		d.unplug("b")
	})
}

// Sessions that a node has not confirmed end a grace after the resumption, and those that it has do not.
func TestResumeConfirms(t *testing.T) {
	for _, confirmed := range []bool{false, true} {
		withProof(t, func(d *diskbed) {
			d.attach("b")
			d.login("b", "bob@im/x")
			d.detach("b")
			src, _ := d.counting("b", "id1")
			if confirmed {
				src.Confirmed()
			}
			time.Sleep(testGrace - time.Second)
			d.unplug("b")
			if _, _, err := d.resume("b", "id1", 0); err != nil {
				t.Fatal(err)
			}
			n := d.r.Node("b")
			time.Sleep(testGrace / 2)
			if got := d.sessions.Count(n.ID()); got != 1 {
				t.Errorf("soon after the resumption it has %d sessions", got)
			}
			time.Sleep(testGrace)
			if got := d.sessions.Count(n.ID()); (got == 1) != confirmed {
				t.Errorf("confirmed: %v, and it has %d sessions", confirmed, got)
			}
			d.unplug("b")
		})
	}
}

// What a node may not hold any more ends with the link that is resumed, and with the next one if it is not.
func TestResumeNarrowed(t *testing.T) {
	for _, how := range []string{"resumed", "too high"} {
		withProof(t, func(d *diskbed) {
			d.change(func(set *Settings) { set.Users = append(set.Users, UserDomain{Name: "im2"}) })
			sc := stanza.NewScanner(stanza.DefaultLimits)
			_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
			src, err := d.r.Attach("b", &Grant{Users: []string{"im", "im2"}, TakeOver: true}, sc)
			if err != nil {
				t.Fatal(err)
			}
			if err := src.StartAcked(&tape{}, "id1", nil); err != nil {
				t.Fatal(err)
			}
			d.srcs["b"] = src
			d.login("b", "bob@im/x")
			d.login("b", "bob@im2/x")
			d.unplug("b")
			if how == "too high" {
				if _, _, err := d.resume("b", "id1", 1); err == nil {
					t.Fatal("it is resumed")
				}
				d.counting("b", "id2")
			} else if _, _, err := d.resume("b", "id1", 0); err != nil {
				t.Fatal(err)
			}
			if got := d.sessions.Count(d.r.Node("b").ID()); got != 1 {
				t.Errorf("%s: it has %d sessions", how, got)
			}
			d.unplug("b")
		})
	}
}
