package service

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// fill gives a user at a node as many sessions as one may have.
func (tb *testbed) fill(node, bare string) {
	tb.t.Helper()
	var items strings.Builder
	for i := range storage.MaxResources {
		fmt.Fprintf(&items, "<announce jid='%s/%d'/>", bare, i)
	}
	tb.state(node, "", items.String())
	tb.expect(node, "result s")
}

// The result bears the id of the request, whatever quotes that was written with.
func TestID(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, c := range []struct{ attr, want string }{
			{`id="it's"`, "it's"}, {`id='a"b'`, `a"b`}, {`id='&apos;&lt;x&gt;&#38;'`, "'<x>&"}, {`id="' type='error' x='"`, "' type='error' x='"},
		} {
			items := "<announce jid='a@im/1'/>"
			for _, want := range []string{"result " + c.want, "error " + c.want + " jid-malformed item=1"} {
				if err := tb.send("n1", "<iq type='set' "+c.attr+" to='im'><sessions xmlns='"+stanza.NSSessions+"'>"+items+"</sessions></iq>"); err != nil {
					t.Fatal(err)
				}
				tb.expect("n1", want)
				items += "<announce jid=''/>"
			}
		}
	})
}

// A statement that is refused leaves the sync as it was: none runs that it would have begun, and one that runs goes on.
func TestRefusedSync(t *testing.T) {
	const refused = "error s resource-constraint item=1"
	for _, sync := range []string{"start", "all"} {
		bubble(t, func(tb *testbed) {
			tb.fill("n1", "eve@im")
			tb.state("n2", "", "<announce jid='bob@im/1'/>")
			tb.expect("n2", "result s")
			tooMany := "<announce jid='carol@im/1'/><announce jid='eve@im/more'/>"
			tb.state("n1", " sync='"+sync+"'", tooMany)
			tb.expect("n1", refused)
			if tb.srcs["n1"].Sync().Running {
				t.Error(sync, "is refused, and a sync runs")
			}
			tb.state("n1", " sync='more'", "")
			tb.expect("n1", "error s unexpected-request")
			tb.state("n1", "", "<announce jid='bob@im/1'/>") // outside of a sync it takes over
			tb.expect("n1", "result s")
			tb.expectHeld("bob@im/1", "n1")

			tb.state("n1", " sync='start'", "<announce jid='dave@im/1'/>")
			tb.expect("n1", "result s")
			before := *tb.srcs["n1"].Sync()
			tb.state("n1", " sync='"+sync+"'", tooMany)
			if now := *tb.srcs["n1"].Sync(); now != before {
				t.Errorf("the sync that runs was %v and is %v", before, now)
			}
			tb.state("n1", " sync='end'", "")
			tb.expect("n1", refused+"; result s")
			tb.expectHeld("dave@im/1", "n1")
			tb.expectHeld("eve@im/0", "") // the sync did not name it
		})
	}
}

// All or nothing: whatever a statement is refused for, no item before that has had an effect.
func TestAllOrNothing(t *testing.T) {
	const items = "<announce jid='new@im/1'/><announce jid='bob@im/1'/><announce jid='own@im/1' priority='7'/><withdraw jid='own@im/2'/>"
	for _, c := range []struct{ name, item, want string }{
		{"too many sessions", "<announce jid='eve@im/more'/>", "error s resource-constraint item=4"},
		{"another domain", "<announce jid='eve@elsewhere/1'/>", "error s forbidden item=4"},
		{"no resource", "<withdraw jid='eve@im'/>", "error s jid-malformed item=4"},
		{"no priority", "<announce jid='own@im/3' priority='x'/>", "error s bad-request item=4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(tb *testbed) {
				tb.fill("n1", "eve@im")
				tb.state("n1", "", "<announce jid='own@im/1' priority='3'/><announce jid='own@im/2'/>")
				tb.state("n2", "", "<announce jid='bob@im/1'/>")
				tb.expect("n1", "result s")
				tb.expect("n2", "result s")
				tb.state("n1", "", items+c.item)
				tb.expect("n1", c.want)
				tb.expect("n2", "") // no <replaced/>
				tb.expectHeld("new@im/1", "")
				tb.expectHeld("bob@im/1", "n2")
				tb.expectHeld("own@im/2", "n1")
				if _, priority := tb.held("own@im/1"); priority != 3 {
					t.Errorf("the priority became %d", priority)
				}
				tb.state("n1", "", items)
				tb.expect("n1", "result s")
				tb.expect("n2", "unavailable replaced")
			})
		})
	}
}

// A refused announce by presence says why, and the link goes on.
func TestRefusedPresence(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.fill("n1", "eve@im")
		tb.state("n2", "", "<announce jid='bob@im/1'/>")
		tb.expect("n2", "result s")
		for _, c := range []struct{ node, stanza, want string }{
			{"n1", "<presence from='eve@im/more' to='im' id='p'/>", "error p resource-constraint"},
			{"n1", "<presence from='eve@im/0' to='im' id='p'/>", ""},
			{"shy", "<presence from='bob@im/1' to='im' id='p'/>", "error p conflict"},
			{"n1", "<presence from='bob@im' to='im' id='p'/>", "error p forbidden"},
			{"n1", "<presence from='bob@elsewhere/1' to='im' id='p'/>", ""},
		} {
			err := tb.send(c.node, c.stanza)
			if forged := strings.Contains(c.stanza, "elsewhere"); (err != nil) != forged {
				t.Errorf("%s: %v", c.stanza, err)
			}
			tb.expect(c.node, c.want)
		}
		tb.expectHeld("bob@im/1", "n2")
	})
}

// A link that is no longer its node's announces nothing, begins no sync, and is not told of too many sessions.
func TestStaleLink(t *testing.T) {
	bubble(t, func(tb *testbed) {
		if _, _, err := tb.sessions.AttachNode("n1"); err != nil { // as a newer link would
			t.Fatal(err)
		}
		if err := tb.send("n1", "<presence from='a@im/1' to='im' id='p'/>"); err != nil {
			t.Fatal(err)
		}
		tb.expect("n1", "error p forbidden")
		for _, sync := range []string{"", " sync='start'", " sync='all'"} {
			tb.state("n1", sync, "<announce jid='a@im/1'/>")
			tb.expect("n1", "error s conflict")
			if tb.srcs["n1"].Sync().Running {
				t.Error(sync, "is refused, and a sync runs")
			}
		}
		tb.expectHeld("a@im/1", "")
	})
}

// What a node sends for a user behind an announce, before it can know that this is refused, does not end its link.
func TestSpeaksBehindRefusal(t *testing.T) {
	statement := func(sync, jid string) string {
		return "<iq type='set' id='s' to='im'><sessions xmlns='" + stanza.NSSessions + "'" + sync + "><announce jid='" + jid + "'/></sessions></iq>"
	}
	for _, c := range []struct{ name, node, announce, from, want string }{
		{"never", "shy", statement("", "bob@im/1"), "bob@im/1", "error s conflict item=0"},
		{"never, by presence", "shy", "<presence from='bob@im/1' to='im' id='p'/>", "bob@im/1", "error p conflict"},
		{"too many", "n2", statement("", "eve@im/more"), "eve@im/more", "error s resource-constraint item=0"},
		{"too many, by presence", "n2", "<presence from='eve@im/more' to='im' id='p'/>", "eve@im/more", "error p resource-constraint"},
		{"in a sync", "n2", statement(" sync='start'", "eve@im/0"), "eve@im/0", "result s replaced=eve@im/0"},
		{"in a sync, by presence", "n2", "<presence from='eve@im/0' to='im' id='p'/>", "eve@im/0", "unavailable replaced"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(tb *testbed) {
				tb.fill("n1", "eve@im")
				tb.state("n1", "", "<announce jid='bob@im/1'/>")
				tb.expect("n1", "result s")
				if c.name == "in a sync, by presence" {
					if err := tb.send(c.node, statement(" sync='start'", "x@im/1")); err != nil {
						t.Error(err)
					}
					tb.expect(c.node, "result s")
				}
				message := "<message type='chat' id='m' from='" + c.from + "' to='bob@im/1'/>"
				if err := tb.send(c.node, c.announce+message); err != nil {
					t.Error(err)
				}
				tb.expect(c.node, c.want)
				tb.expect("n1", "chat m")

				var se *stanza.StreamError
				if err := tb.send(c.node, strings.Replace(message, c.from, "mallory@im/1", 1)); !errors.As(err, &se) || se.Condition != "invalid-from" {
					t.Errorf("for a user that it never named: %v", err)
				}
			})
		})
	}
}

// What is refused is counted by its condition, by presence as by iq; what is asked of users is not.
func TestRefusals(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.fill("n1", "eve@im")
		before := tb.service.Refusals()
		for _, c := range []struct{ node, items, want string }{
			{"n1", "<announce jid='eve@im/more'/>", "resource-constraint"},
			{"n1", "<announce jid='bob@im'/>", "jid-malformed"},
			{"n1", "<announce jid='bob@elsewhere/1'/>", "forbidden"},
			{"n1", "<shout jid='bob@im/1'/>", "bad-request"},
			{"shy", "<announce jid='eve@im/1'/>", "conflict"},
		} {
			tb.state(c.node, "", c.items)
			before[c.want]++
		}
		tb.state("n1", " sync='end'", "")
		before["unexpected-request"]++
		tb.presence("n1", "eve@im/more", "0", false)
		before["resource-constraint"]++
		tb.presence("shy", "eve@im/1", "0", false)
		before["conflict"]++
		tb.presence("n1", "carol@im/1", "0", false) // is taken
		tb.ask("n1", "where", "not a jid@@")        // is no announce
		if got := tb.service.Refusals(); !maps.Equal(got, before) {
			t.Errorf("counted %v, want %v", got, before)
		}
		tb.service.refusals.add("no-such-condition")
		if got := tb.service.Refusals()["undefined-condition"]; got != 1 {
			t.Errorf("a condition of no list is counted %d times", got)
		}
	})
}
