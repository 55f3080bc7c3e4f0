package service

import (
	"fmt"
	"testing"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

func (tb *testbed) kick(jid, reason string) int {
	tb.t.Helper()
	who, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	if err != nil {
		tb.t.Fatal(err)
	}
	return tb.service.Kick(who, reason)
}

// A kicked session ends, its node is told why, and it is remembered who did it.
func TestKick(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.state("n1", "", "<announce jid='alice@im/a'/><announce jid='alice@im/b'/><announce jid='bob@im/a'/>")
		tb.state("n2", "", "<announce jid='alice@im/c'/>")
		tb.expect("n1", "result s")
		tb.expect("n2", "result s")
		if n := tb.kick("alice@im/none", ""); n != 0 {
			t.Errorf("%d sessions ended that are none", n)
		}
		if n := tb.kick("alice@im/a", "stolen & sold"); n != 1 {
			t.Errorf("%d sessions ended, want 1", n)
		}
		tb.each("n1", func(h *stanza.Header) {
			const want = "<presence type='unavailable' from='alice@im/a' to='n1'><kicked xmlns='urn:patchbay:sessions:1'/><status>stolen &amp; sold</status></presence>"
			if string(h.Raw) != want {
				t.Errorf("got  %s\nwant %s", h.Raw, want)
			}
		})
		if n := tb.kick("alice@im", ""); n != 2 {
			t.Errorf("%d sessions ended, want 2", n)
		}
		tb.expectHeld("alice@im/b", "")
		tb.expectHeld("bob@im/a", "n1")
		for _, e := range tb.sessions.Ended([]byte("alice@im")) {
			if e.Why != storage.Kicked {
				t.Errorf("%s ended as %s", e.JID, e.Why)
			}
		}
	})
}

// What waits for a kicked session at a node that is away is decided anew, before anything newer.
func TestKickAway(t *testing.T) {
	bubble(t, func(tb *testbed) {
		chat := func(to string, n int) {
			if err := tb.send("n1", fmt.Sprintf("<message type='chat' from='n1' to='%s' id='m%d'/>", to, n)); err != nil {
				t.Fatal(err)
			}
		}
		tb.state("n2", "", "<announce jid='alice@im/a'/><announce jid='bob@im/a'/>")
		tb.expect("n2", "result s")
		tb.detach("n2")
		chat("alice@im", 1)
		chat("alice@im/a", 2)
		chat("bob@im", 3)
		if n := tb.kick("alice@im", ""); n != 1 {
			t.Errorf("%d sessions ended, want 1", n)
		}
		tb.expect("n1", "error m1 service-unavailable offline; error m2 service-unavailable offline")
		tb.attach("n3")
		tb.presence("n3", "alice@im/b", "0", false)
		chat("alice@im", 4)
		tb.expect("n3", "chat m4")
		tb.attach("n2")
		tb.expect("n2", "chat m3 delay; unavailable kicked delay")
	})
}

// A node that is away is told at its return: it may not know that its user was logged out.
func TestKickAwayTold(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.state("n1", "", "<announce jid='alice@im/a'/>")
		tb.expect("n1", "result s")
		tb.detach("n1")
		if n := tb.kick("alice@im", "gone"); n != 1 {
			t.Errorf("%d sessions ended", n)
		}
		tb.attach("n1")
		tb.expect("n1", "unavailable kicked status delay")
	})
}

// A drained node that comes back may state all it had, also what another node has taken meanwhile.
func TestDrainedSync(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.state("n1", "", "<announce jid='alice@im/a'/><announce jid='bob@im/a'/>")
		tb.expect("n1", "result s")
		tb.router.Node("n1").SetDraining(tb.router, true)
		tb.detach("n1")
		tb.state("n2", "", "<announce jid='alice@im/a'/>")
		tb.expect("n2", "result s")
		tb.attach("n1")
		tb.state("n1", " sync='all'", "<announce jid='alice@im/a'/><announce jid='bob@im/a'/>")
		tb.expect("n1", "set drain-2 drain; result s replaced=alice@im/a")
		tb.expectHeld("alice@im/a", "n2")
		tb.expectHeld("bob@im/a", "n1")
	})
}

// A node that may not hold a session any more is told so.
func TestRevoked(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.state("n1", "", "<announce jid='alice@im/a'/>")
		tb.expect("n1", "result s")
		tb.srcs["n1"].Regrant(&routing.Grant{})
		tb.expect("n1", "unavailable kicked status")
		tb.expectHeld("alice@im/a", "")
	})
}

// A drained node keeps what it has, may say so again, and gets nothing new.
func TestDrained(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.state("n1", "", "<announce jid='alice@im/a'/>")
		tb.expect("n1", "result s")
		tb.router.Node("n1").SetDraining(tb.router, true)
		tb.expect("n1", "set drain-1 drain")
		tb.state("n1", "", "<announce jid='alice@im/a' priority='3'/>")
		tb.expect("n1", "result s")
		tb.presence("n1", "alice@im/a", "4", false)
		tb.expect("n1", "")
		tb.state("n1", "", "<announce jid='alice@im/a'/><announce jid='bob@im/a'/>")
		tb.expect("n1", "error s not-allowed item=1")
		tb.presence("n1", "bob@im/a", "0", false)
		tb.expect("n1", "error not-allowed")
		tb.presence("n1", "alice@im/a", "0", true)
		tb.expectHeld("alice@im/a", "")
		tb.router.Node("n1").SetDraining(tb.router, false)
		tb.expect("n1", "set undrain-2 undrain")
		tb.presence("n1", "bob@im/a", "0", false)
		tb.expectHeld("bob@im/a", "n1")
	})
}
