package server_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/server"
)

// end is what one way to end a link leaves behind.
type end struct {
	node, state, reason string
	text                string // a part of it
	attached            bool
	told                bool // by a stream error
}

// ways are all the ways in which a link can end, each with the ends that it writes down, newest first.
var ways = []struct {
	title string
	sets  []string
	nodes string
	play  func(st *stage)
	ends  []end
}{
	{title: "wrong secret", play: func(st *stage) { st.fails("node1.im.example", "a-secret-that-is-wrong", "not-authorized") },
		ends: []end{{"node1.im.example", server.LinkRefused, "not-authorized", "handshake does not match", false, true}}},
	{title: "unknown name", play: func(st *stage) { st.fails("node1.elsewhere.example", "", "host-unknown") },
		ends: []end{{"node1.elsewhere.example", server.LinkRefused, "host-unknown", "may not attach here", false, true}}},
	{title: "a user domain", play: func(st *stage) { st.fails("im.example", "", "conflict") },
		ends: []end{{"im.example", server.LinkRefused, "conflict", "a user domain", false, true}}},
	{title: "no XML", play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.write([]byte("GET / HTTP/1.1\r\n\r\n"), 0)
		a.takeHeader(a.next())
		a.expectEnd("bad-format", "", "")
	}, ends: []end{{"", server.LinkRefused, "bad-format", "outside of the stanzas", false, true}}},
	{title: "no handshake in time", sets: []string{"timers.handshake=1s"}, play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.takeHeader(a.next())
		a.expectEnd("connection-timeout", "", "")
	}, ends: []end{{"", server.LinkRefused, "connection-timeout", "no complete handshake", false, true}}},
	{title: "no TLS where it is needed", sets: []string{"listen.plaintext_from=[10.0.0.0/8]"}, play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.takeHeader(a.next())
		a.expectEnd("policy-violation", "", "")
	}, ends: []end{{"", server.LinkRefused, "policy-violation", "over TLS only", false, true}}},
	{title: "the TLS handshake fails", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		conn, err := net.Dial("tcp", st.running().ComponentTLSAddr())
		if err != nil {
			breakf("%v", err)
		}
		_, _ = conn.Write([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
		_, _ = conn.Read(make([]byte, 100))
		_ = conn.Close()
	}, ends: []end{{"", server.LinkRefused, server.EndTLS, "TLS", false, false}}},
	{title: "the peer leaves before it says a name", play: func(st *stage) {
		st.actor("a").connect(false, "")
		st.actor("a").leave()
	}, ends: []end{{"", server.LinkEnded, server.EndDropped, "without closing", false, false}}},
	{title: "the peer leaves after it said a name", play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.write([]byte(header("node1.im.example")), 0)
		a.takeHeader(a.next())
		a.reset()
	}, ends: []end{{"node1.im.example", server.LinkEnded, server.EndDropped, "", false, false}}},
	{title: "the node closes its stream", play: func(st *stage) {
		a := st.actor("a")
		a.attach("node1.im.example", house)
		a.act("closes")
		a.expectEnd("", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, server.EndClosed, "", true, false}}},
	{title: "the node drops", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.actor("a").reset()
	}, ends: []end{{"node1.im.example", server.LinkEnded, server.EndDropped, "reset", true, false}}},
	{title: "a rule is broken", play: func(st *stage) {
		a := st.actor("a")
		a.attach("node1.im.example", house)
		a.write([]byte("<message from='node2.im.example' to='node1.im.example'/>"), 0)
		a.expectEnd("invalid-from", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "invalid-from", "its own domain", true, true}}},
	{title: "XML is broken", play: func(st *stage) {
		a := st.actor("a")
		a.attach("node1.im.example", house)
		a.write([]byte("<message></iq>"), 0)
		a.expectEnd("not-well-formed", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "not-well-formed", "at byte", true, true}}},
	{title: "the domain is taken", nodes: "  - {domain: node1.im.example, secret: " + house + ", conflict: reject}\n", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.fails("node1.im.example", house, "conflict")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "conflict", "another link", false, true}}},
	{title: "all links of the domain are taken", nodes: "  - {domain: node1.im.example, secret: " + house + ", conflict: reject, instances: 2}\n", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.actor("c").attach("node1.im.example", house)
		st.fails("node1.im.example", house, "conflict")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "conflict", "as many links as may", false, true}}},
	{title: "a silent link is replaced", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.actor("b").attach("node1.im.example", house)
		st.actor("a").expect("<iq type='get' id='*' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>", 1)
		st.actor("a").expectEnd("conflict", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "conflict", "took this domain over", true, true}}},
	{title: "the server stops", play: func(st *stage) {
		a, b := st.actor("a"), st.actor("b")
		a.attach("node1.im.example", house)
		b.connect(false, "")
		b.write([]byte(header("node2.im.example")), 0)
		b.takeHeader(b.next())
		st.stop()
		b.expectEnd("system-shutdown", "", "")
		a.expectEnd("system-shutdown", "", "")
		st.wait()
	}, ends: []end{
		{"node1.im.example", server.LinkEnded, "system-shutdown", "stopping", true, true},
		{"node2.im.example", server.LinkRefused, "system-shutdown", "stopping", false, true}}},
}

// fails opens a stream that is refused.
func (st *stage) fails(domain, secret, condition string) {
	a := st.actor("refused")
	a.connect(false, "")
	a.write([]byte(header(domain)), 0)
	a.takeHeader(a.next())
	if secret != "" {
		a.write([]byte("<handshake>"+digest(a.id, secret)+"</handshake>"), 0)
	}
	a.expectEnd(condition, "", "")
}

// TestClosed: however a link ends, there is one entry that says how, the counters have it, and it is no longer open.
func TestClosed(t *testing.T) {
	t.Parallel()
	for _, c := range ways {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			onStage(t, func(st *stage) {
				for _, s := range c.sets {
					st.set(s)
				}
				if c.nodes != "" {
					st.nodes = c.nodes
				}
				before := time.Now()
				c.play(st)
				var got []server.LinkInfo
				st.until("the ends are written down", func() bool {
					got = st.server.Closed()
					return len(got) >= len(c.ends)
				})
				if len(got) != len(c.ends) {
					breakf("%d ends instead of %d: %+v", len(got), len(c.ends), got)
				}
				for i, e := range c.ends {
					st.holdEnd(e, got[i], before)
				}
				st.holdCounts(c.ends)
			})
		})
	}
}

func (st *stage) holdEnd(want end, got server.LinkInfo, before time.Time) {
	switch {
	case got.Node != want.node, got.State != want.state, got.Reason != want.reason, !strings.Contains(got.Text, want.text):
		breakf("written down is %+v, not %+v", got, want)
	case (got.ID != 0) != want.attached, (got.Grade != "") != want.attached, got.Count != 1:
		breakf("number, grade or count of %+v", got)
	case got.Since.Before(before), got.Ended.Before(got.Since), got.Ended.After(time.Now()), !strings.HasPrefix(got.Peer, "127.0.0.1:"):
		breakf("times or peer of %+v", got)
	}
	for _, open := range st.server.Links() {
		if open.Peer == got.Peer {
			breakf("%+v is still open", open)
		}
	}
}

// holdCounts compares the counters with the ends.
func (st *stage) holdCounts(ends []end) {
	var want server.Handshakes
	errors := map[string]uint64{}
	for _, e := range ends {
		switch {
		case e.state == server.LinkRefused:
			want.Refused++
		case !e.attached:
			want.Left++
		}
		if e.told {
			errors[e.reason]++
		}
	}
	st.until("the stream errors are counted", func() bool {
		for reason, n := range st.server.StreamErrors() {
			if n != errors[reason] {
				return false
			}
		}
		return true
	})
	got := st.server.Handshakes()
	want.OK = got.OK // how many attached, is for the scene to know
	if got != want {
		breakf("handshakes are %+v, not %+v", got, want)
	}
}

// TestLinks: a link is open from its first byte on, with what is known of it.
func TestLinks(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		a, b := st.actor("a"), st.actor("b")
		b.connect(false, "")
		peer := b.conn.LocalAddr().String()
		holds := func(what string, want server.LinkInfo) {
			var got []server.LinkInfo
			st.until(what, func() bool {
				got = st.server.Links()
				return len(got) > 0 && got[0].State == want.State && got[0].Node == want.Node && got[0].In == want.In
			})
			want.ID, want.Since = got[0].ID, got[0].Since
			if got[0] != want || (want.ID != 0) != (want.State == server.LinkAttached) {
				breakf("%s: %+v", what, got[0])
			}
		}
		holds("the link is open", server.LinkInfo{Peer: peer, State: server.LinkHandshake, Count: 1})
		b.write([]byte(header("node1.im.example")), 0)
		b.takeHeader(b.next())
		holds("the link has a name", server.LinkInfo{Peer: peer, Node: "node1.im.example", State: server.LinkHandshake, Count: 1})
		b.write([]byte("<handshake>"+digest(b.id, house)+"</handshake>"), 0)
		b.expect("<handshake/>", 1)
		for i := range 3 {
			b.write([]byte(fmt.Sprintf("<presence from='node1.im.example' to='x@nowhere.example' type='error' id='%d'/>", i)), 0)
		}
		holds("the link is attached", server.LinkInfo{Peer: peer, Node: "node1.im.example", State: server.LinkAttached, Grade: "written", In: 3, Count: 1})
		a.attach("node2.im.example", house)
		if links := st.server.Links(); len(links) != 2 || links[0].Node != "node2.im.example" || links[1].Node != "node1.im.example" {
			breakf("the links are %+v", links)
		}
		if closed := st.server.Closed(); len(closed) != 0 {
			breakf("ended are %+v", closed)
		}
	})
}

// TestManyUnauthenticated: what the gate has no room for is one entry with a count, told or not, and one line with a number.
func TestManyUnauthenticated(t *testing.T) {
	onStage(t, func(st *stage) {
		const inside, more = 100 + 1000, 150 // component.Gate
		addr := st.running().ComponentAddr()
		var conns []net.Conn
		defer func() {
			for _, c := range conns {
				_ = c.Close()
			}
		}()
		for range inside + more {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				breakf("%v", err)
			}
			conns = append(conns, c)
		}
		st.until("the rest is refused", func() bool { return st.server.Handshakes().Refused >= more })
		closed := st.server.Closed()
		if len(closed) != 1 || closed[0].Reason != "resource-constraint" || closed[0].Count != more || closed[0].State != server.LinkRefused {
			breakf("written down is %+v", closed)
		}
		if told := st.server.StreamErrors()["resource-constraint"]; told == 0 || told > more {
			breakf("%d were told", told)
		}
		if n := strings.Count(st.log.text(), "node refused"); n != 1 {
			breakf("%d lines:\n%s", n, st.log.text())
		}
	})
}
