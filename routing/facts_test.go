package routing

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// reasonsAddUp holds what NodeReasons says of all nodes and of the server against the ledger.
func reasonsAddUp(r *Router) error {
	sum := map[string]uint64{}
	domains := []string{r.Server()}
	for _, f := range r.Facts() {
		domains = append(domains, f.Domain)
	}
	for _, domain := range domains {
		for why, n := range r.NodeReasons(domain) {
			sum[why.String()] += n
		}
	}
	if want := r.Ledger().Reasons; !maps.Equal(sum, want) {
		return fmt.Errorf("the nodes' reasons are %v, the ledger's %v", sum, want)
	}
	return nil
}

// reasonsOf shows what NodeReasons says of a node: "no-session 2 queue-full 1".
func (tb *testbed) reasonsOf(domain string) string {
	var words []string
	counts := tb.r.NodeReasons(domain)
	for why := range reasons {
		if n := counts[why]; n > 0 {
			words = append(words, fmt.Sprint(why, " ", n))
		}
	}
	return strings.Join(words, " ")
}

// What ends later, in whoever's hands, is counted for the node that it came from.
func TestNodeReasons(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3", "n4"} {
			tb.attach(n)
		}
		tb.login("n1", "alice@im/1")
		tb.login("n3", "bob@im/1")
		tb.login("n3", "carol@im/1")
		tb.login("n4", "carol@im/2")
		both := "CHAT from='%s' to='bob@im' id='m1'/>CHAT from='%[1]s' to='carol@im' id='m2'/>CHAT from='%[1]s' to='n3' id='m3'/>"
		tb.wires["n3"].room = 0
		tb.send("n1", fmt.Sprintf(both, "n1")+"<iq type='get' id='q1' from='n1' to='bob@im/1'><x xmlns='y'/></iq>")
		tb.send("n2", fmt.Sprintf(both, "n2")+"CHAT from='n2' to='nowhere' id='m4'/>")
		tb.r.Notify(tb.srcs["n3"].node, []byte("<iq type='set' id='w1' to='n3' from='hub'><x xmlns='y'/></iq>"))
		tb.detach("n3")
		for domain, want := range map[string]string{"n1": "node-dropped 1", "n2": "no-route 1", "hub": "notice-lost 1"} {
			if got := tb.reasonsOf(domain); got != want {
				t.Errorf("%s at the drop: %q, want %q", domain, got, want)
			}
		}
		tb.send("n2", "CHAT from='n2' to='dave@im' id='m6'/>CHAT from='n2' to='bob@im' id='m7'/>")
		time.Sleep(testGrace + time.Second)
		synctest.Wait()
		for domain, want := range map[string]string{
			"n1": "no-session 1 node-unreachable 1 node-dropped 1 other-copy 1",
			"n2": "no-session 3 node-unreachable 1 no-route 1 other-copy 1",
			"n3": "", "n4": "", "hub": "notice-lost 1",
		} {
			if got := tb.reasonsOf(domain); got != want {
				t.Errorf("%s after the grace: %q, want %q", domain, got, want)
			}
		}
		if tb.r.NodeReasons("nowhere") != nil || tb.r.NodeReasons("im") != nil {
			t.Error("there are reasons of what is no node")
		}
	})
}

// A stop counts what it answers for the nodes that sent it.
func TestNodeReasonsAtTheStop(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.wires["n3"].room = 0
		tb.send("n1", "CHAT from='n1' to='n3' id='m1'/>")
		tb.send("n2", "CHAT from='n2' to='n3' id='m1'/>CHAT from='n2' to='n3' id='m2'/>")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		tb.r.Drain(ctx)
		if one, two := tb.reasonsOf("n1"), tb.reasonsOf("n2"); one != "stopping 1" || two != "stopping 2" {
			t.Errorf("n1 %q, n2 %q", one, two)
		}
	})
}

// Stored messages that are too old, and copies of them that a node did not take, are counted for the nodes that sent them.
func TestNodeReasonsOfStored(t *testing.T) {
	mailBubble(t, func(c *Config) { c.Users[0].Keep.Age = time.Hour }, func(tb *mailbed) {
		for _, n := range []string{"s", "t", "a", "b"} {
			tb.attach(n)
		}
		for i := range 2 * inFlight {
			from := []string{"s", "t"}[i%2]
			tb.send(from, fmt.Sprintf("CHAT from='%s' to='bob@im' id='m%d'/>CHAT from='%[1]s' to='carol@im' id='c%[2]d'/>", from, i))
		}
		tb.wires["a"].room = 0
		tb.announce("a", "bob@im/x", 0)
		synctest.Wait()
		tb.wires["b"].room = 0
		tb.announce("b", "bob@im/y", 0) // it gets copies of the second half
		tb.wires["a"].give(1 << 30)
		synctest.Wait()
		tb.detach("b")
		time.Sleep(testGrace + time.Second)
		for domain, want := range map[string]string{"s": "other-copy 32", "t": "other-copy 32", "hub": "notice-lost 1"} { // b was asked what it can do
			if got := tb.reasonsOf(domain); got != want {
				t.Errorf("%s: %q, want %q", domain, got, want)
			}
		}
		time.Sleep(time.Hour)
		for domain, want := range map[string]string{"s": "other-copy 32 offline-age 64", "t": "other-copy 32 offline-age 64", "hub": "notice-lost 1"} { // b was asked what it can do
			if got := tb.reasonsOf(domain); got != want {
				t.Errorf("%s: %q, want %q", domain, got, want)
			}
		}
	})
}

// Facts are of one domain each, in order, and outlive links.
func TestFacts(t *testing.T) {
	bubble(t, func(tb *testbed) {
		start := time.Now()
		tb.attach("n2")
		tb.attach("n1")
		tb.login("n2", "bob@im/1")
		tb.wires["n2"].room = 0
		time.Sleep(time.Second)
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'/>")
		time.Sleep(3 * time.Second)
		long := strings.Repeat("x", 5000) // the block grows
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m2'><body>"+long+"</body></message>")
		size := uint64(2*len("<message type='chat' from='n1' to='bob@im' id='m1'/>") + len("<body></body></message>") - 1 + len(long))
		want := []NodeFacts{
			{Domain: "exact", State: Never, LinksMax: 1, QueueMax: 10_000, Since: start},
			{Domain: "n1", State: Attached, Links: 1, LinksMax: 1, In: 2, QueueMax: 10_000, Since: start, Grade: GradeWritten},
			{Domain: "n2", State: Attached, Links: 1, LinksMax: 1, Sessions: 1, Queue: 2, QueueBytes: size, QueueMax: 10_000,
				Oldest: 3 * time.Second, Since: start, Grade: GradeWritten},
		}
		tb.factsAre(want)

		tb.detach("n2")
		time.Sleep(time.Second)
		n2 := &want[2]
		n2.State, n2.Links, n2.Since, n2.Oldest = Away, 0, start.Add(4*time.Second), 4*time.Second
		n2.GraceEnds = n2.Since.Add(testGrace)
		tb.factsAre(want)

		src := tb.attach("n2")
		tb.send("n2", "CHAT from='n2' to='n1' id='m3'/>")
		*n2 = NodeFacts{Domain: "n2", State: Attached, Links: 1, LinksMax: 1, Sessions: 1, In: 1, Out: 2, QueueMax: 10_000,
			Since: start.Add(5 * time.Second), Confirming: true, Grade: GradeWritten}
		want[1].Out = 1
		tb.factsAre(want)

		src.Confirmed()
		src.node.multicast.Store(true)
		src.node.SetDraining(tb.r, true)
		n2.Confirming, n2.Multicast, n2.Draining, n2.Out = false, true, true, 3
		tb.factsAre(want)
		if f := tb.r.Facts()[2]; f.Word() != "draining" {
			t.Errorf("n2 is %s", f.Word())
		}

		tb.detach("n2")
		if f := tb.r.Facts()[2]; f.Word() != "away" || !f.Draining {
			t.Errorf("n2 is %s: %+v", f.Word(), f)
		}
		tb.attach("n2")
		tb.send("n2", "CHAT from='n2' to='n1' id='m4'/>")
		if f := tb.r.Facts()[2]; f.In != 2 || f.Multicast {
			t.Errorf("another link: %+v", f)
		}
	})
}

func (tb *testbed) factsAre(want []NodeFacts) {
	tb.t.Helper()
	synctest.Wait()
	got := tb.r.Facts()
	if len(got) != len(want) {
		tb.t.Fatalf("%d nodes: %+v", len(got), got)
	}
	for i := range got {
		g, w := got[i], want[i]
		if d := g.GraceEnds.Sub(w.GraceEnds); d.Abs() < time.Second {
			g.GraceEnds = w.GraceEnds // the table keeps microseconds, and no zone
		}
		if d := g.Oldest - w.Oldest; d.Abs() <= 250*time.Millisecond {
			g.Oldest = w.Oldest
		}
		if !g.Since.Equal(w.Since) {
			tb.t.Errorf("%s since %s, want %s", g.Domain, g.Since, w.Since)
		}
		g.Since = w.Since
		if g != w {
			tb.t.Errorf("got  %+v\nwant %+v", g, w)
		}
	}
}

// Several links of one domain are one row.
func TestFactsOfInstances(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("s1")
		for range 2 {
			sc := storedScanner(stanza.DefaultLimits)
			src, err := tb.r.Attach("push", &Grant{Instances: 3}, sc)
			if err != nil {
				t.Fatal(err)
			}
			w := newWire(0)
			if err := src.Start(w, nil); err != nil {
				t.Fatal(err)
			}
			defer func() {
				w.breakIt()
				src.Detach()
			}()
		}
		for i := range 20 {
			tb.send("s1", fmt.Sprintf("<message from='s1' to='u%d@push'/>", i))
		}
		got := tb.r.Facts()
		if len(got) != 3 || got[1].Domain != "push" {
			t.Fatalf("%+v", got)
		}
		if f := got[1]; f.State != Attached || f.Links != 2 || f.LinksMax != 3 || f.Queue != 20 || f.QueueMax != 20_000 {
			t.Errorf("%+v", f)
		}
	})
}

// What waits for a node that is away is as old as it was when its link dropped, also what is taken apart then; a queue
// that has been empty begins anew.
func TestOldest(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.login("n2", "bob@im/1")
		tb.login("n2", "carol@im/1")
		tb.srcs["n2"].node.multicast.Store(true)
		oldest := func(want time.Duration) {
			t.Helper()
			for _, f := range tb.r.Facts() {
				if f.Domain == "n2" && (f.Oldest-want).Abs() > 250*time.Millisecond {
					t.Errorf("the oldest is of %s, want %s", f.Oldest, want)
				}
			}
		}
		oldest(0)
		tb.wires["n2"].room = 0
		tb.send("n1", "<message from='n1' to='im' id='f1'><addresses xmlns='http://jabber.org/protocol/address'>"+
			"<address type='to' jid='bob@im'/><address type='to' jid='carol@im'/></addresses></message>")
		time.Sleep(5 * time.Second)
		tb.detach("n2")
		time.Sleep(time.Second)
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m0'><body>"+strings.Repeat("x", 5000)+"</body></message>") // the block grows
		oldest(6 * time.Second)
		if q := tb.r.Node("n2").Queue(); q.Waiting != 3 {
			t.Errorf("%d wait", q.Waiting)
		}
		tb.attach("n2")
		synctest.Wait()
		oldest(0)
		time.Sleep(time.Second)
		tb.wires["n2"].room = 0
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'/>")
		time.Sleep(time.Second)
		oldest(time.Second)
	})
}
