package routing

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// explainBed is a server with nodes in every state and users of every sort, to be asked about.
func explainBed(t *testing.T, f func(tb *mailbed)) {
	t.Helper()
	policies := map[string]OfflinePolicy{"im": PolicyBounce, "quiet": PolicyDiscard, "kept": PolicyStore, "fwd": PolicyForward, "gone": PolicyForward}
	adapt := func(c *Config) {
		c.Users = nil
		for _, name := range []string{"im", "quiet", "kept", "fwd", "gone", "many"} {
			u := UserDomain{Name: name, Offline: policies[name], Keep: storage.Keep{Messages: 1}, ForwardTo: "n2"}
			if name == "gone" {
				u.ForwardTo = "exact"
			}
			c.Users = append(c.Users, u)
		}
		c.Queue, c.Known = 10_000, []string{"exact"}
	}
	mailBubble(t, adapt, func(tb *mailbed) {
		for _, n := range []string{"n1", "n2", "n3", "n4", "n5"} {
			tb.attach(n)
		}
		for node, sessions := range map[string]string{"n1": "alice@im/phone:0", "n2": "bob@im/web:5 bob@im/x:0 eve@im/tv:-1", "n3": "bob@im/pad:0 dave@im/1:0",
			"n4": "bob@im/watch:-1 carl@im/1:0", "n5": "gina@im/1:0 hugo@im/1:0"} {
			for _, s := range strings.Fields(sessions) {
				var prio int8
				jid, p, _ := strings.Cut(s, ":")
				_, _ = fmt.Sscan(p, &prio)
				tb.announce(node, jid, prio)
			}
		}
		synctest.Wait()
		tb.detach("n5")
		time.Sleep(testGrace + time.Second)
		tb.detach("n4")
		tb.send("n1", "CHAT from='n1' to='n4'/>")
		time.Sleep(11 * time.Second)
		tb.srcs["n3"].node.SetDraining(tb.r, true)
		src, err := tb.r.Attach("n9", &Grant{Users: []string{"many"}, SpeakDomain: true}, storedScanner(stanza.DefaultLimits))
		if err != nil {
			t.Fatal(err)
		}
		tb.srcs["n9"], tb.wires["n9"] = src, newWire(1<<30)
		if err := src.Start(tb.wires["n9"], nil); err != nil {
			t.Fatal(err)
		}
		f(tb)
	})
}

// told shows an explanation: its rows' numbers, the reason of the last one, notes and verdict.
func told(e Explanation) string {
	out := fmt.Sprintf("%s %s [%s] %s\n", e.Kind, e.Type, e.Origin.Node, e.Origin.Why)
	if n := len(e.Rows); n > 0 {
		out += fmt.Sprintf("%d %s: %s\n", e.Rows[n-1].Row, e.Rows[n-1].Question, e.Rows[n-1].Why)
	}
	for _, s := range e.Sessions {
		out += strings.TrimSpace(fmt.Sprintf("/%s %d %s %s copy=%v %s", s.Resource, s.Priority, s.Node, s.State, s.Copy, s.Why)) + "\n"
	}
	for _, s := range e.Ended {
		out += fmt.Sprintf("ended %s %s %s %s\n", s.JID, s.Node, s.Ended.UTC().Format("15:04:05"), s.Why)
	}
	for _, n := range e.Notes {
		out += "note " + n.Text + "\n"
	}
	return out + e.Verdict.Text
}

// The words of each explanation that there can be, question by question. From is alice@im/phone where none is given.
func TestExplainWords(t *testing.T) {
	page, err := os.ReadFile("testdata/explain.txt")
	if err != nil {
		t.Fatal(err)
	}
	explainBed(t, func(tb *mailbed) {
		var got strings.Builder
		for block := range strings.SplitSeq(strings.TrimSpace(string(page)), "\n\n") {
			question, _, _ := strings.Cut(block, "\n")
			fmt.Fprintf(&got, "%s\n%s\n\n", question, told(tb.r.Explain(asQuery(t, question))))
		}
		if strings.TrimSpace(got.String()) != strings.TrimSpace(string(page)) {
			t.Errorf("the answers differ from testdata/explain.txt; they are:\n%s", &got)
		}
	})
}

// asQuery reads "--to bob@im --type chat".
func asQuery(t *testing.T, question string) Query {
	t.Helper()
	var q Query
	words := strings.Fields(question)
	for i := 0; i+1 < len(words); i += 2 {
		at, ok := map[string]*string{"--from": &q.From, "--to": &q.To, "--kind": &q.Kind, "--type": &q.Type, "--at": &q.At}[words[i]]
		if !ok {
			t.Fatalf("no question: %s", question)
		}
		*at = words[i+1]
	}
	if q.From == "" && q.At == "" {
		q.From = "alice@im/phone"
	}
	return q
}

// What stands in the way of a verdict is told beside it.
func TestExplainNotes(t *testing.T) {
	explainBed(t, func(tb *mailbed) {
		tell := func(q Query, want string) {
			t.Helper()
			q.From = "alice@im/phone"
			e := tb.r.Explain(q)
			got := e.Verdict.Action
			for _, n := range e.Notes {
				got += fmt.Sprintf(" | %s %s %s: %s", n.Action, n.Reason, n.Node, n.Text)
			}
			if got != want {
				t.Errorf("%+v\ngot  %s\nwant %s", q, got, want)
			}
		}
		tb.send("n1", "CHAT from='n1' to='zoe@kept'/>")
		tell(Query{To: "zoe@kept"}, "store | bounce offline-full : it is not stored: n1 gets cancel/service-unavailable")
		tell(Query{To: "yan@kept"}, "store")

		tb.r.holds.expect("bob@im", tb.r.holds.idle)
		tell(Query{To: "bob@im"}, "deliver | hold none : older stanzas wait for bob@im: it joins them, and the verdict is made when its turn comes")
		tb.send("n1", "CHAT from='n1' to='bob@im'><body>"+strings.Repeat("x", 900)+"</body></message>")
		tell(Query{To: "bob@im"}, "deliver | bounce hold-full : it cannot wait: n1 gets wait/resource-constraint")
		tell(Query{To: "bob@im/web", Type: "error"}, "deliver | drop error-to-nobody : it cannot wait: it is dropped")
		tb.r.holds.announced("bob@im", nil)
		tb.r.holds.quit("bob@im")
		tb.r.release([]string{"bob@im"})

		tb.wires["n2"].room = 0
		tb.send("n1", "CHAT from='n1' to='n2'><body>"+strings.Repeat("x", 9_900)+"</body></message>")
		full := "the queue of n2 is full (9962 of 10000 bytes): n1 gets wait/resource-constraint"
		tell(Query{To: "n2"}, "deliver | bounce queue-full n2: "+full)
		tell(Query{To: "bob@im", Type: "chat"}, "deliver | bounce queue-full n2: "+full)
		tell(Query{To: "bob@im/pad"}, "deliver")

		for i := range maxAsks / share {
			tb.r.iqs.enter(&ask{key: fmt.Sprint("n1\x00", i), asked: "n2", node: tb.r.Node("n2"), origin: tb.r.Node("n1"), until: time.Now().Add(time.Hour)})
		}
		tell(Query{To: "bob@im/pad", Kind: "iq"}, "deliver | bounce iq-full n3: the table of iqs that wait for an answer is full: n1 gets wait/resource-constraint")
	})
}

// While nodes of before a restart are awaited nobody is said to be offline.
func TestExplainUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newTestbed(t, nil)
		before.r.Returning()
		before.attach("n2")
		before.login("n2", "bob@im/1")
		before.detach("n2")
		before.r.Close()
		tb := newTestbed(t, before.sessions)
		defer tb.close()
		tb.r.Returning()
		tb.attach("n1")
		for kind, want := range map[string]string{
			"message": "answered with wait/remote-server-timeout, never <offline/>", "presence": "dropped",
		} {
			e := tb.r.Explain(Query{From: "n1", To: "zoe@im", Kind: kind})
			if got := e.Verdict.Text; got != "hold: it is not known yet whether zoe@im has a session; it waits for at most 10s, then it is "+want {
				t.Errorf("%s: %s", kind, got)
			}
			if why := e.Rows[4].Why; why != "view not complete: nodes of before the restart may still come back" {
				t.Errorf("%s: %s", kind, why)
			}
		}
	})
}

// What nobody would write has a verdict too.
func TestExplainHostile(t *testing.T) {
	explainBed(t, func(tb *mailbed) {
		for _, bad := range []string{"\x00", "\xff\xfe", "a\u202eb@im/\x1b[31m", "'/><iq ", "]]>", strings.Repeat("x", 1<<20), "@", "/", "a@/b", "n1/", " n1"} {
			for _, q := range []Query{{From: bad, To: "n1"}, {From: "n1", To: bad}, {From: "n1", To: "n2", Type: bad}, {From: "n1", To: "n2", Kind: bad},
				{From: "n1", To: "n2", At: bad}, {From: "n1", To: "n2", ID: bad}, {From: bad, To: bad, At: "n1", Kind: "iq", Type: "result"}} {
				if e := tb.r.Explain(q); e.Verdict.Action == "" || e.Origin.Why == "" || !strings.HasPrefix(e.Verdict.Text, e.Verdict.Action+": ") {
					t.Errorf("%.60q: %.300q", q, fmt.Sprint(e))
				}
			}
		}
	})
}
