package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
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
	mend                string // a part of it; "": there is none
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
		ends: []end{{"node1.im.example", server.LinkRefused, "not-authorized", "handshake does not match", "see secret of node1.im.example (*.im.example) in play.yaml", false, true}}},
	{title: "unknown name", play: func(st *stage) { st.fails("node1.elsewhere.example", "", "host-unknown") },
		ends: []end{{"node1.elsewhere.example", server.LinkRefused, "host-unknown", "may not attach here", "add node1.elsewhere.example under nodes:", false, true}}},
	{title: "a user domain", play: func(st *stage) { st.fails("im.example", "", "conflict") },
		ends: []end{{"im.example", server.LinkRefused, "conflict", "a user domain", "domain of its own", false, true}}},
	{title: "no XML", play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.write([]byte("GET / HTTP/1.1\r\n\r\n"), 0)
		a.takeHeader(a.next())
		a.expectEnd("bad-format", "", "")
	}, ends: []end{{"", server.LinkRefused, "bad-format", "outside of the stanzas", "see what connects", false, true}}},
	{title: "no handshake in time", sets: []string{"timers.handshake=1s"}, play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.takeHeader(a.next())
		a.expectEnd("connection-timeout", "", "")
	}, ends: []end{{"", server.LinkRefused, "connection-timeout", "no complete handshake", "see what connects", false, true}}},
	{title: "no TLS where it is needed", sets: []string{"listen.plaintext_from=[10.0.0.0/8]"}, play: func(st *stage) {
		st.fails("node1.im.example", "", "policy-violation")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "policy-violation", "over TLS only", "to listen.plaintext_from", false, true}}},
	{title: "no TLS on the TLS port", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		conn := st.dialTLSPort()
		defer conn.Close()
		st.write(conn, header("node1.im.example"), "begin with TLS")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "policy-violation", "TLS only", "let the node begin with TLS", false, true}}},
	{title: "TLS on the plain port", play: func(st *stage) {
		_, err := tls.Dial("tcp", st.running().ComponentAddr(), &tls.Config{InsecureSkipVerify: true}) // it has no certificate
		if err == nil || !strings.Contains(err.Error(), "does not look like a TLS handshake") {
			breakf("%v", err)
		}
	}, ends: []end{{"", server.LinkRefused, "not-well-formed", "takes no TLS", "connect without TLS", false, true}}},
	{title: "no TLS and no XML on the TLS port", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		conn := st.dialTLSPort()
		defer conn.Close()
		st.write(conn, "GET / HTTP/1.1\r\n\r\n", "")
	}, ends: []end{{"", server.LinkRefused, server.EndTLS, "not TLS", "see what connects from", false, false}}},
	{title: "an old TLS", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		conn := tls.Client(st.dialTLSPort(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		defer conn.Close()
		if conn.Handshake() == nil {
			breakf("it is taken")
		}
	}, ends: []end{{"", server.LinkRefused, server.EndTLS, "TLS handshake failed", "older than 1.2", false, false}}},
	{title: "the certificate is not trusted", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		conn := tls.Client(st.dialTLSPort(), &tls.Config{ServerName: hub, RootCAs: x509.NewCertPool()})
		defer conn.Close()
		if conn.Handshake() == nil {
			breakf("it is trusted")
		}
	}, ends: []end{{"", server.LinkRefused, server.EndTLS, "the peer ended the TLS handshake", "does not trust tls.cert", false, false}}},
	{title: "the peer leaves in the middle of the TLS handshake", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		raw := st.dialTLSPort()
		conn := tls.Client(raw, &tls.Config{ServerName: hub, VerifyConnection: func(tls.ConnectionState) error {
			_ = raw.Close() // as Python does
			return io.EOF
		}, InsecureSkipVerify: true}) // self-signed
		if conn.Handshake() == nil {
			breakf("it goes on")
		}
	}, ends: []end{{"", server.LinkRefused, server.EndTLS, "in the middle of the TLS handshake", "does not trust tls.cert", false, false}}},
	{title: "no TLS handshake in time", sets: []string{"listen.component_tls=127.0.0.1:0", "timers.handshake=1s"}, play: func(st *stage) {
		conn := st.dialTLSPort()
		defer conn.Close()
		st.write(conn, "", "")
	}, ends: []end{{"", server.LinkRefused, server.EndTLS, "no TLS handshake came", "", false, false}}},
	{title: "the peer leaves the TLS port at once", sets: []string{"listen.component_tls=127.0.0.1:0"}, play: func(st *stage) {
		_ = st.dialTLSPort().Close()
	}, ends: []end{{"", server.LinkEnded, server.EndDropped, "without closing", "", false, false}}},
	{title: "the peer leaves before it says a name", play: func(st *stage) {
		st.actor("a").connect(false, "")
		st.actor("a").leave()
	}, ends: []end{{"", server.LinkEnded, server.EndDropped, "without closing", "", false, false}}},
	{title: "the peer leaves after it said a name", play: func(st *stage) {
		a := st.actor("a")
		a.connect(false, "")
		a.write([]byte(header("node1.im.example")), 0)
		a.takeHeader(a.next())
		a.reset()
	}, ends: []end{{"node1.im.example", server.LinkEnded, server.EndDropped, "", "", false, false}}},
	{title: "the node closes its stream", play: func(st *stage) {
		a := st.actor("a")
		a.attach("node1.im.example", house)
		a.act("closes")
		a.expectEnd("", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, server.EndClosed, "", "", true, false}}},
	{title: "the node drops", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.actor("a").reset()
	}, ends: []end{{"node1.im.example", server.LinkEnded, server.EndDropped, "reset", "", true, false}}},
	{title: "a rule is broken", play: func(st *stage) {
		a := st.actor("a")
		a.attach("node1.im.example", house)
		a.write([]byte("<message from='node2.im.example' to='node1.im.example'/>"), 0)
		a.expectEnd("invalid-from", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "invalid-from", "own domain", "nodes[].users", true, true}}},
	{title: "XML is broken", play: func(st *stage) {
		a := st.actor("a")
		a.attach("node1.im.example", house)
		a.write([]byte("<message></iq>"), 0)
		a.expectEnd("not-well-formed", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "not-well-formed", "at byte", "", true, true}}},
	{title: "the domain is taken", nodes: "  - {domain: node1.im.example, secret: " + house + ", conflict: reject}\n", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.fails("node1.im.example", house, "conflict")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "conflict", "another link", "patchbay ctl kick node1", false, true}}},
	{title: "all links of the domain are taken", nodes: "  - {domain: node1.im.example, secret: " + house + ", conflict: reject, instances: 2}\n", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.actor("c").attach("node1.im.example", house)
		st.fails("node1.im.example", house, "conflict")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "conflict", "as many links as may", "nodes[].instances", false, true}}},
	{title: "a silent link is replaced", play: func(st *stage) {
		st.actor("a").mute.Store(true)
		st.actor("a").attach("node1.im.example", house)
		st.actor("b").attach("node1.im.example", house)
		st.actor("a").expect("<iq type='get' id='*' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>", 1)
		st.actor("a").expectEnd("conflict", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "conflict", "took this domain over", "give each a domain", true, true}}},
	{title: "an operator kicks the link", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.kick("node1.im.example", "it is not ours", "0 sessions, 1 links")
		st.actor("a").expectEnd("policy-violation", "", "ask who runs the router: it is not ours")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "policy-violation", "an operator ended this link", "", true, true}}},
	{title: "a reload takes the node away", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.nodes = "  - {domain: node2.im.example, secret: " + house + "}\n"
		if _, err := st.server.Reload(); err != nil {
			breakf("%v", err)
		}
		st.actor("a").expectEnd("host-gone", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "host-gone", "taken out of the configuration", "no longer under nodes", true, true}}},
	{title: "a reload leaves fewer links", nodes: "  - {domain: node1.im.example, secret: " + house + ", instances: 2}\n", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.actor("b").attach("node1.im.example", house)
		st.nodes = "  - {domain: node1.im.example, secret: " + house + "}\n"
		if _, err := st.server.Reload(); err != nil {
			breakf("%v", err)
		}
		st.actor("b").expectEnd("conflict", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "conflict", "fewer links", "give each a domain", true, true}}},
	{title: "a reload gives users to a shared domain", nodes: "  - {domain: node1.im.example, secret: " + house + ", instances: 2}\n", play: func(st *stage) {
		st.actor("a").attach("node1.im.example", house)
		st.nodes = cast + "\n"
		if _, err := st.server.Reload(); err != nil {
			breakf("%v", err)
		}
		st.actor("a").expectEnd("reset", "", "")
	}, ends: []end{{"node1.im.example", server.LinkEnded, "reset", "attach again", "", true, true}}},
	{title: "the server is drained", play: func(st *stage) {
		st.running()
		st.drain("", false)
		st.fails("node1.im.example", house, "system-shutdown")
	}, ends: []end{{"node1.im.example", server.LinkRefused, "system-shutdown", "is being drained", "", false, true}}},
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
		{"node1.im.example", server.LinkEnded, "system-shutdown", "stopping", "", true, true},
		{"node2.im.example", server.LinkRefused, "system-shutdown", "stopping", "", false, true}}},
}

// dialTLSPort connects to the TLS port, and does not begin with TLS.
func (st *stage) dialTLSPort() net.Conn {
	conn, err := net.Dial("tcp", st.running().ComponentTLSAddr())
	if err != nil {
		breakf("%v", err)
	}
	return conn
}

// write says something and hears the server out: it says what is wanted, or if that is "" nothing.
func (st *stage) write(conn net.Conn, text, want string) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = conn.Write([]byte(text))
	got, err := io.ReadAll(conn)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() || !strings.Contains(string(got), want) || want == "" && len(got) > 0 {
		breakf("%q was answered %q (%v)", text, got, err)
	}
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
	case !strings.Contains(got.Mend, want.mend), (got.Mend == "") != (want.mend == ""):
		breakf("the mend is %q", got.Mend)
	case strings.Contains(got.Text+got.Mend, house), len(got.Text) == 0, want.told && len(got.Text) >= 200:
		breakf("the text is %q", got.Text)
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
		b.mute.Store(true) // what it says is counted
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
		holds("the link is attached", server.LinkInfo{Peer: peer, Node: "node1.im.example", State: server.LinkAttached, Auth: "handshake", Grade: "probing", In: 3, Count: 1})
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
