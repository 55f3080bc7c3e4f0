package routing

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

var delays = regexp.MustCompile(` id='([^']*)'[^>]*>(?:<x/>)?(<delay xmlns='urn:xmpp:delay' from='[^']*' stamp='[^']*'/>)?`)

// stamps tells what a node was written: each id, whether it has a delay of from, and of how long ago.
func (tb *testbed) stamps(node string) string {
	synctest.Wait()
	w := tb.wires[node]
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, m := range delays.FindAllStringSubmatch(string(w.got), -1) {
		word := m[1]
		if _, said, is := strings.Cut(m[2], " from='"); is {
			from, stamp, _ := strings.Cut(said, "' stamp='")
			at, err := time.Parse(stampForm, strings.TrimSuffix(stamp, "'/>"))
			if err != nil {
				tb.t.Error(err)
			}
			word += fmt.Sprintf("(%s %s)", from, time.Since(at).Round(time.Second))
		}
		all = append(all, word)
	}
	w.got = nil
	return strings.Join(all, " ")
}

// What waited for a node and goes elsewhere says since when it has waited, as it would at the node's return (XEP-0203): but for iqs, and
// for what has a delay.
func TestLateElsewhere(t *testing.T) {
	for _, c := range []struct {
		name string
		goes func(tb *testbed)
		want string
	}{
		{"the grace ends", func(tb *testbed) { tb.login("c", "bob@im/y"); time.Sleep(testGrace) }, "m1(hub 30s) m2(hub 30s) m4(x 1m30s)"},
		{"the user moves", func(tb *testbed) {
			time.Sleep(5 * time.Second)
			who := addr(tb.t, "bob@im/x")
			tb.r.Moving(who.Bare())
			tb.login("c", "bob@im/x")
			tb.r.Move(who, tb.r.Node("b"), tb.r.Node("c"))
			tb.r.Moved(who.Bare())
		}, "m1(hub 5s) m2(hub 5s) p1(hub 5s) q1 m4(x 1m5s)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(tb *testbed) {
				for _, n := range []string{"a", "b", "c"} {
					tb.attach(n)
				}
				tb.login("b", "bob@im/x")
				tb.send("b", "<iq type='get' id='q1' from='bob@im/x' to='a'><q xmlns='u'/></iq>")
				tb.detach("b")
				said := time.Now().Add(-time.Minute).UTC().Format("<delay xmlns='urn:xmpp:delay' from='x' stamp='" + stampForm + "'/>")
				tb.send("a", "CHAT from='a' to='bob@im' id='m1'/>CHAT from='a' to='bob@im/x' id='m2'><x/></message>"+
					"<presence from='a' to='bob@im/x' id='p1'/><iq type='result' from='a' to='bob@im/x' id='q1'/>"+
					"CHAT from='a' to='bob@im' id='m4'>"+said+"</message>")
				c.goes(tb)
				synctest.Wait()
				if got := tb.stamps("c"); got != c.want {
					t.Errorf("c got %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

// A link that goes hands what it did not take to the others of its domain: they may get some of it for the second time.
func TestLateHandedOver(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		for _, name := range []string{"s1", "s2"} {
			sc := storedScanner(stanza.DefaultLimits)
			src, err := tb.r.Attach("s", &Grant{Instances: 2}, sc)
			if err != nil {
				t.Fatal(err)
			}
			tb.srcs[name], tb.wires[name] = src, newWire(0)
			if err := src.Start(tb.wires[name], nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			tb.send("a", fmt.Sprintf("CHAT from='a' to='u%d@s' id='m%d'/>", i, i))
		}
		time.Sleep(3 * time.Second)
		tb.detach("s1")
		tb.wires["s2"].give(1 << 30)
		late, fresh := 0, 0
		for _, got := range strings.Fields(strings.ReplaceAll(tb.stamps("s2"), "(hub 3s)", "+")) {
			if strings.HasSuffix(got, "+") {
				late++
			} else {
				fresh++
			}
		}
		if late == 0 || fresh == 0 || late+fresh != 20 {
			t.Errorf("%d had waited for the other link, %d not", late, fresh)
		}
	})
}

// What is stored when a grace ends has the time at which it came.
func TestLateStored(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		for _, n := range []string{"a", "b", "c"} {
			tb.attach(n)
		}
		tb.login("b", "bob@im/x")
		tb.detach("b")
		tb.send("a", "CHAT from='a' to='bob@im' id='m1'/>")
		time.Sleep(testGrace + 5*time.Second)
		tb.logon("c", "bob@im/x", nil)
		if got := tb.stamps("c"); got != "m1(im 35s)" {
			t.Errorf("c got %s", got)
		}
	})
}

// While a grace is being ended nothing is replayed to the node, and nothing held for its users: what is new for them joins what waits for
// the node, and is stored behind it.
func TestEndingHoldsNobody(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		for _, n := range []string{"a", "b", "c"} {
			tb.attach(n)
		}
		tb.login("b", "bob@im/x")
		tb.detach("b")
		var want []string
		say := func(i int) {
			want = append(want, fmt.Sprintf("m%d", i))
			tb.send("a", fmt.Sprintf("CHAT from='a' to='bob@im' id='m%d'/>", i))
		}
		const n = 3000
		for i := range n {
			say(i)
		}
		tb.r.judging <- struct{}{}
		time.Sleep(testGrace)
		synctest.Wait()
		<-tb.r.judging
		tb.r.judging <- struct{}{} // who waited first has decided one block
		synctest.Wait()
		if stored := tb.r.mail.store.Count([]byte("bob@im")); stored == 0 || stored == n || !tb.r.Node("b").ending.Load() {
			t.Errorf("of %d %d are stored: the grace is not being ended", n, stored)
		}
		for i := range 10 {
			say(n + i)
			synctest.Wait()
		}
		if tb.r.holds.lists.Load() > 0 {
			t.Error("somebody waits for a replay to a node that is not there")
		}
		<-tb.r.judging
		time.Sleep(time.Second)
		tb.logon("c", "bob@im/x", nil)
		time.Sleep(time.Second)
		if got := tb.got("c"); got != strings.Join(want, " ") {
			t.Errorf("c got %d, want %d: %.300s", len(strings.Fields(got)), len(want), got)
		}
	})
}
