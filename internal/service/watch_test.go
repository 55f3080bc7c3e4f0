package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// ask sends an iq about a user: where, watch or unwatch, which is also its id, with the jid behind it.
func (tb *testbed) ask(node, what, jid string) {
	tb.t.Helper()
	typ := "set"
	if what == "where" {
		typ = "get"
	}
	if err := tb.send(node, "<iq type='"+typ+"' id='"+what+" "+jid+"' to='im'><"+what+" xmlns='"+stanza.NSSessions+"' jid='"+jid+"'/></iq>"); err != nil {
		tb.t.Fatal(err)
	}
}

// presence announces a session, or ends it with leaves.
func (tb *testbed) presence(node, jid, priority string, leaves bool) {
	tb.t.Helper()
	typ := ""
	if leaves {
		typ = " type='unavailable'"
	}
	if err := tb.send(node, "<presence from='"+jid+"' to='im'"+typ+"><priority>"+priority+"</priority></presence>"); err != nil {
		tb.t.Fatal(err)
	}
}

// notice is a presence with a session in it: who, and all that is said, or why it ended.
type notice struct{ jid, says, why string }

func (tb *testbed) notice(h *stanza.Header) (n notice, ok bool) {
	if h.Kind != stanza.Presence {
		return n, false
	}
	value := func(w *stanza.Walker, name string) string {
		v, _, _ := w.Attr(name)
		return string(stanza.AppendUnescaped(nil, v))
	}
	n.jid = string(stanza.AppendUnescaped(nil, h.In(h.From.Value)))
	priority := "0"
	for w := h.Walk(); w.Next(); {
		if string(w.Local()) == "priority" {
			priority = string(w.AppendText(nil))
		}
		if string(w.Local()) != "session" || string(w.Space()) != stanza.NSSessions {
			continue
		}
		ok = true
		if n.says = value(&w, "node"); h.Type == stanza.TypeUnavailable {
			n.why = value(&w, "why")
			continue
		}
		if p := value(&w, "priority"); p != priority {
			tb.t.Errorf("the priority is %s, and in the session %s", priority, p)
		}
		for _, name := range []string{"server", "priority", "since", "state"} {
			n.says += " " + value(&w, name)
		}
	}
	return n, ok
}

// known is what a node knows of a user by the table, as notices say it.
func (tb *testbed) known(bare string) map[string]string {
	all := map[string]string{}
	for _, x := range tb.sessions.Where([]byte(bare)) {
		rec, _ := tb.sessions.Node(x.Node)
		state := map[storage.NodeState]string{storage.Up: "online", storage.Draining: "online", storage.Away: "away"}[rec.State]
		all[x.JID] = fmt.Sprintf("%s %s %d %s %s", rec.Domain, rec.Server, x.Priority, x.Since.UTC().Format(time.RFC3339), state)
	}
	return all
}

// hear applies what a node was written to what it knows.
func (tb *testbed) hear(node string, knows map[string]string) (notices int) {
	tb.t.Helper()
	tb.each(node, func(h *stanza.Header) {
		n, ok := tb.notice(h)
		switch {
		case !ok:
			return
		case h.Type == stanza.TypeUnavailable:
			delete(knows, n.jid)
		default:
			knows[n.jid] = n.says
		}
		notices++
	})
	return notices
}

func (tb *testbed) expectKnown(node string, knows map[string]string, users ...string) {
	tb.t.Helper()
	want := map[string]string{}
	for _, u := range users {
		maps.Copy(want, tb.known(u))
	}
	for _, jid := range slices.Sorted(maps.Keys(want)) {
		if knows[jid] != want[jid] {
			tb.t.Fatalf("%s was told of %s %q, and the table has %q", node, jid, knows[jid], want[jid])
		}
	}
	for jid := range knows {
		if want[jid] == "" {
			tb.t.Fatalf("%s was told of %s %q, which the table has not", node, jid, knows[jid])
		}
	}
}

func TestWhere(t *testing.T) {
	const session = "<session resource='%s' node='%s' server='hub' priority='%s' since='2000-01-01T00:00:0%dZ' state='%s'/>"
	bubble(t, func(tb *testbed) {
		tb.presence("n1", "a@im/&lt;x&gt; &apos;", "-7", false)
		time.Sleep(3 * time.Second)
		tb.presence("n2", "a@im/b", "0", false)
		tb.presence("n2", "a@im/a", "3", false)
		first := func(state string) string { return fmt.Sprintf(session, "&lt;x&gt; &apos;", "n1", "-7", 0, state) }
		second := fmt.Sprintf(session, "a", "n2", "3", 3, "online") + fmt.Sprintf(session, "b", "n2", "0", 3, "online")
		inc, _ := tb.srcs["n1"].Incarnation()
		for _, c := range []struct {
			name string
			do   func()
			want string
		}{
			{"online", func() {}, first("online") + second},
			{"draining is online", func() { tb.sessions.SetNodeState(tb.srcs["n1"].Node().ID(), inc, storage.Draining, time.Time{}) }, first("online") + second},
			{"away", func() { tb.detach("n1") }, first("away") + second},
			{"gone", func() { time.Sleep(31 * time.Second); synctest.Wait() }, second},
		} {
			c.do()
			tb.ask("n2", "where", "A@im")
			synctest.Wait()
			tb.each("n2", func(h *stanza.Header) {
				want := "<iq type='result' id='where A@im' from='im' to='n2'><where xmlns='" + stanza.NSSessions + "' jid='a@im'>" + c.want + "</where></iq>"
				if got := strings.ReplaceAll(string(h.Raw), "&#39;", "&apos;"); got != want {
					t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
				}
			})
		}
	})
}

// Why a session ended, and what is said when it has ended and begun again before its watcher could be told.
func TestWhy(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.service.watches.window = 1 // one notice waits for the link at most
		tb.ask("shy", "watch", "a@im")
		tb.ask("shy", "watch", "held@im")
		tb.expect("shy", "result watch a@im watch; result watch held@im watch")
		begin := func() { tb.presence("n1", "a@im/1", "0", false) }
		for _, c := range []struct {
			name string
			do   func()
			want string
		}{
			{"begin", begin, "n1 0 online"},
			{"withdraw", func() { tb.presence("n1", "a@im/1", "0", true) }, "n1 withdrawn"},
			{"begin again", begin, "n1 0 online"},
			{"end and begin at once", func() { tb.hold(func() { tb.presence("n1", "a@im/1", "0", true); begin() }) }, "n1 0 online"},
			{"two priorities at once", func() {
				tb.hold(func() { tb.presence("n1", "a@im/1", "1", false); tb.presence("n1", "a@im/1", "2", false) })
			}, "n1 2 online"},
			{"taken and ended at once", func() {
				tb.hold(func() { tb.presence("n2", "a@im/1", "0", false); tb.presence("n2", "a@im/1", "0", true) })
			}, "n1 replaced"},
			{"begin a third time", begin, "n1 0 online"},
			{"taken", func() { tb.presence("n2", "a@im/1", "4", false) }, "n2 4 online"},
			{"drop", func() { tb.detach("n2") }, "n2 4 away"},
			{"the grace ends", func() { time.Sleep(31 * time.Second) }, "n2 node-left"},
			{"on a node that is back", func() { tb.attach("n2"); tb.presence("n2", "a@im/1", "0", false) }, "n2 0 online"},
			{"the grace ends, and the sweep is over before the look", func() {
				tb.hold(func() { tb.detach("n2"); time.Sleep(31 * time.Second) })
			}, "n2 node-left"},
			{"the same again on the node's next link", func() {
				tb.attach("n2")
				tb.presence("n2", "a@im/1", "0", false)
				synctest.Wait()
				tb.hold(func() {
					tb.presence("n2", "a@im/1", "0", true)
					tb.detach("n2")
					tb.attach("n2")
					tb.presence("n2", "a@im/1", "0", false)
				})
			}, "n2 0 online"},
			{"a last withdraw", func() { tb.presence("n2", "a@im/1", "0", true) }, "n2 withdrawn"},
			{"begin a fourth time", begin, "n1 0 online"},
			{"a sync that does not name it", func() { tb.state("n1", " sync='all'", "<announce jid='held@im/1'/>") }, "n1 unconfirmed"},
		} {
			c.do()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			var got []string
			tb.each("shy", func(h *stanza.Header) {
				if n, _ := tb.notice(h); n.jid == "a@im/1" {
					got = append(got, n.short())
				}
			})
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("%s: got %q, want %q", c.name, s, c.want)
			}
		}
	})
}

// short is what a notice says, without server and time.
func (n notice) short() string {
	if n.why != "" {
		return n.says + " " + n.why
	}
	f := strings.Fields(n.says)
	return f[0] + " " + f[2] + " " + f[4]
}

// hold keeps the window of shy, who watches held@im, shut until f is done.
func (tb *testbed) hold(f func()) {
	tb.t.Helper()
	tb.wires["shy"].stick()
	_, priority := tb.held("held@im/1")
	tb.presence("n1", "held@im/1", fmt.Sprint(priority+1), false)
	synctest.Wait()
	f()
	synctest.Wait()
	tb.wires["shy"].goOn()
}

// What a watch would still have to say, its result too, dies with the link: the next one has asked for nothing.
func TestWatchDiesWithItsLink(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.presence("n1", "a@im/1", "0", false)
		tb.wires["n2"].stick()
		tb.ask("n2", "watch", "a@im")
		tb.presence("n1", "a@im/1", "1", false)
		synctest.Wait()
		tb.detach("n2")
		tb.attach("n2")
		tb.expect("n2", "")
		tb.presence("n1", "a@im/1", "2", false)
		tb.expect("n2", "")
	})
}
