package server_test

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/server"
)

var randomID = regexp.MustCompile(`id='(pb-)?[0-9a-f]{16,32}`)

// TestPlainStreamsUnchanged: a peer that does not ask for a modern stream gets what it got before there were any, byte for
// byte: no features, no version, no element it does not know, also where the server has a certificate and authorities.
func TestPlainStreamsUnchanged(t *testing.T) {
	t.Parallel()
	const first = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='node1.im.example' id='X'>"
	const granted = "<handshake/><iq type='get' id='X-1' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>"
	const wrong = "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>"
	attrs := []string{"", " version='1.0'", " xmlns:pb='urn:patchbay:component:1' pb:modern='1'", " xmlns:pb='urn:patchbay:component:1' version='1.0'",
		" modern='1' version='1.0'", " xmlns:pb='urn:patchbay:component:1' pb:modern='0' version='1.0'"}
	onStage(t, func(st *stage) {
		cert, private := certificate(t)
		st.set("tls.cert=" + cert)
		st.set("tls.key=" + private)
		setAuthority(st, t)
		addr := st.running().ComponentAddr()
		for _, more := range attrs {
			for _, right := range []bool{true, false} {
				p := rawTo(addr, nil)
				said := p.asks(strings.Replace(header("node1.im.example"), " to=", more+" to=", 1), "'>")
				_, id, _ := strings.Cut(said, " id='")
				proof, want := digest(strings.TrimSuffix(id, "'>"), house), first+granted
				if !right {
					proof, want = strings.Repeat("0", 40), first+wrong+"handshake does not match the secret for node1.im.example; check the secret (a library sends the lower-case hex of "+
						"sha1(stream id + secret))</text></stream:error></stream:stream>"
				}
				p.say("<handshake>" + proof + "</handshake>")
				if right {
					said += p.hears("</iq>")
				} else {
					said += p.rest()
				}
				if got := randomID.ReplaceAllString(said, "id='X"); got != want {
					breakf("%s\ngot  %s\nwant %s", more, got, want)
				}
				_ = p.conn.Close()
				st.nodeIs("node1.im.example", "away")
			}
		}
	})
}

// TestModernAttach: a node proves its name by SCRAM, is enabled, sends and receives, and is shown as what it is.
func TestModernAttach(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("timers.grace=90s")
		addr := st.running().ComponentAddr()
		p := rawTo(addr, nil)
		if got := p.opens("node1.im.example"); !strings.HasSuffix(got, "' version='1.0' xmlns:pb='urn:patchbay:component:1' pb:modern='1'><stream:features><mechanisms"+nsSASLAttr+
			"><mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>") {
			breakf("opened: %s", got)
		}
		if got := p.scram("node1.im.example", house); got != "<success/>" {
			breakf("%s", got)
		}
		p.opens("node1.im.example")
		enabled := p.asks(sayEnable+"<message to='node1.im.example' id='m1'/>", "/>")
		if !regexp.MustCompile(`^<enabled xmlns='urn:xmpp:sm:3' id='[0-9a-f]{32}' resume='true' max='90'/>$`).MatchString(enabled) {
			breakf("enabled: %s", enabled)
		}
		if got := p.hears("/>"); !strings.Contains(got, "id='m1'") {
			breakf("to itself: %s", got)
		}
		p.say("<a xmlns='urn:xmpp:sm:3' h='1'/>")
		if got := p.asks("<r xmlns='urn:xmpp:sm:3'/>", " h='1'/>"); !strings.Contains(got, "<a xmlns='urn:xmpp:sm:3'") {
			breakf("acknowledged: %s", got)
		}
		is := st.server.Links()[0]
		if !is.Modern || is.Auth != "SCRAM-SHA-256" || is.TLS || is.Secure != "" || is.Grade != "acked" || is.Node != "node1.im.example" {
			breakf("shown as %+v", is)
		}
		if got := p.asks("</stream:stream>", "</stream:stream>"); strings.Contains(got, "error") {
			breakf("closed: %s", got)
		}
		_ = p.conn.Close()
	})
}

// setAuthority names the authority of client certificates, and gives it.
func setAuthority(st *stage, t *testing.T) *ca {
	a := newCA(t)
	st.set("tls.ca=" + a.file)
	return a
}

// TestModernTLS: STARTTLS and direct TLS, with SCRAM and with a client certificate; each certificate that is not right has
// its condition, is told to the peer and noted for who runs the server.
func TestModernTLS(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		a := setAuthority(st, t)
		st.set("listen.component_tls=127.0.0.1:0")
		s, other := st.running(), newCA(t)
		later := time.Now().Add(time.Hour)
		for _, c := range []struct {
			name   string
			secure *tls.Config
			want   string // "" attaches
			mend   string
		}{
			{"its own", a.shows("node1.im.example", later), "", ""},
			{"another name", a.shows("node2.im.example", later), "not-authorized", "openssl x509"},
			{"a wildcard", a.shows("*.im.example", later), "not-authorized", "openssl x509"},
			{"expired", a.shows("node1.im.example", time.Now().Add(-time.Hour)), "credentials-expired", "a new certificate"},
			{"another authority", other.shows("node1.im.example", later), "not-authorized", a.file},
			{"none", open(), "invalid-mechanism", "openssl x509"},
		} {
			for _, direct := range []bool{false, true} {
				p := rawTo(s.ComponentAddr(), nil)
				if direct {
					_ = p.conn.Close()
					p = rawTo(s.ComponentTLSAddr(), c.secure)
				} else {
					if got := p.opens("node1.im.example"); !strings.Contains(got, "<stream:features>"+sayTLS+"<mechanisms") {
						breakf("offered without TLS: %s", got)
					}
					p.startTLS(c.secure)
				}
				if got := p.opens("node1.im.example"); strings.Contains(got, "starttls") || strings.Contains(got, "<mechanism>EXTERNAL<") != (c.name != "none") {
					breakf("%s: offered over TLS: %s", c.name, got)
				}
				if c.want != "" {
					if got := p.asks(sayExt, "</failure>"); !strings.Contains(got, "<"+c.want+"/><text xml:lang='en'>") {
						breakf("%s: %s", c.name, got)
					}
					is := s.Closed()[0]
					if is.State != server.LinkRefused || is.Reason != c.want || is.Text == "" || !strings.Contains(is.Mend, c.mend) || !strings.HasPrefix(is.Secure, "TLS 1.") {
						breakf("%s: noted as %+v", c.name, is)
					}
					p.asks("</stream:stream>", "</stream:stream>")
					_ = p.conn.Close()
					continue
				}
				p.asks(sayExt, "<success"+nsSASLAttr+"/>")
				p.opens("node1.im.example")
				p.asks(sayEnable, "/>")
				if is := s.Links()[0]; is.Auth != "EXTERNAL" || is.Secure != "TLS 1.3" || !is.TLS || !is.Modern {
					breakf("%s: shown as %+v", c.name, is)
				}
				p.asks("</stream:stream>", "</stream:stream>")
				_ = p.conn.Close()
			}
		}
		if log := st.log.text(); !strings.Contains(log, "reason=credentials-expired") || !strings.Contains(log, "mend=") {
			breakf("the log says nothing of it")
		}
	})
}

// TestModernSecretOnly: over TLS a node that shows no certificate proves its name by its secret.
func TestModernSecretOnly(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		p := rawTo(st.running().ComponentAddr(), nil)
		p.opens("node1.im.example")
		p.startTLS(open())
		p.opens("node1.im.example")
		if got := p.scram("node1.im.example", house); got != "<success/>" {
			breakf("%s", got)
		}
		p.opens("node1.im.example")
		p.asks(sayEnable, "/>")
		if is := st.server.Links()[0]; is.Auth != "SCRAM-SHA-256" || is.Secure != "TLS 1.3" {
			breakf("shown as %+v", is)
		}
		p.asks("</stream:stream>", "</stream:stream>")
	})
}

// TestModernCertificateOnly: a node without a secret attaches by its certificate, and by nothing else. The authorities are
// named by a reload.
func TestModernCertificateOnly(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		cert, private := certificate(t)
		st.sets = [][2]string{{"listen.component_tls", "127.0.0.1:0"}}
		st.extra = "\ntls: {cert: " + cert + ", key: " + private + "}"
		s := st.running()
		st.nodes += "\n  - {domain: node9.example}"
		if _, err := s.Reload(); err == nil {
			breakf("a node without a secret, and no authority")
		}
		a := newCA(t)
		st.extra = strings.TrimSuffix(st.extra, "}") + ", ca: " + a.file + "}"
		if done, err := s.Reload(); err != nil || len(done.Changes) != 2 {
			breakf("reload: %+v %v", done, err)
		}
		p := rawTo(s.ComponentTLSAddr(), a.shows("node9.example", time.Now().Add(time.Hour)))
		p.opens("node9.example")
		p.asks(sayExt, "<success"+nsSASLAttr+"/>")
		p.opens("node9.example")
		p.asks(sayEnable, "/>")
		p.asks("</stream:stream>", "</stream:stream>")
		bare := rawTo(s.ComponentTLSAddr(), open())
		bare.say(modern("node9.example"))
		if got := bare.rest(); !strings.Contains(got, "<not-authorized") || !strings.Contains(got, "client certificate") {
			breakf("without a certificate: %s", got)
		}
		plain := rawTo(s.ComponentTLSAddr(), open())
		plain.say(header("node9.example") + "<handshake>" + strings.Repeat("0", 40) + "</handshake>")
		if got := plain.rest(); !strings.Contains(got, "it attaches with a client certificate only") || !strings.Contains(s.Closed()[0].Mend, "client certificate") {
			breakf("without a modern stream: %s, mend %q", got, s.Closed()[0].Mend)
		}
	})
}

// TestModernDowngrade: from where TLS is needed nothing else is taken; no old TLS, no weaker mechanism, no plain stream behind
// STARTTLS.
func TestModernDowngrade(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		st.set("listen.plaintext_from=[10.0.0.0/8]")
		addr := st.running().ComponentAddr()
		p := rawTo(addr, nil)
		if got := p.opens("node1.im.example"); !strings.HasSuffix(got, "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>") {
			breakf("offered: %s", got)
		}
		if got := p.scram("node1.im.example", house); !strings.Contains(got, "<encryption-required/>") {
			breakf("SCRAM without TLS: %s", got)
		}
		if is := st.server.Closed()[0]; is.Reason != "encryption-required" || !strings.Contains(is.Mend, "STARTTLS") {
			breakf("noted as %+v", is)
		}
		p.startTLS(open()) // which mends it
		p.opens("node1.im.example")
		if got := p.asks(saslElement("auth", " mechanism='PLAIN'", []byte("\x00node1.im.example\x00"+house)), "</failure>"); !strings.Contains(got, "<invalid-mechanism/>") {
			breakf("PLAIN: %s", got)
		}
		p.say("<handshake>x</handshake>")
		if got := p.rest(); !strings.Contains(got, "<not-authorized") {
			breakf("a handshake: %s", got)
		}
		p = rawTo(addr, nil)
		p.opens("node1.im.example")
		p.startTLS(open())
		p.say(header("node1.im.example"))
		if got := p.rest(); !strings.Contains(got, "<policy-violation") {
			breakf("a plain stream behind STARTTLS: %s", got)
		}
		p = rawTo(addr, nil)
		p.say(header("node1.im.example"))
		if got := p.rest(); !strings.Contains(got, "this address may attach over TLS only") {
			breakf("a plain stream: %s", got)
		}
		p = rawTo(addr, nil)
		p.opens("node1.im.example")
		p.asks(sayTLS, "/>")
		if err := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake(); err == nil {
			breakf("TLS 1.1 was taken")
		}
		st.until("the TLS that failed is noted", func() bool { return st.server.Closed()[0].Reason == server.EndTLS })
	})
}

// TestModernInjection is rule D04 on real connections: what was said without TLS is never taken for what came over it.
func TestModernInjection(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		addr := st.running().ComponentAddr()
		injected := modern("node1.im.example") + "<auth" + nsSASLAttr + " mechanism='SCRAM-SHA-256'/>"
		p := rawTo(addr, nil)
		p.opens("node1.im.example")
		p.say(sayTLS + injected)
		if got := p.rest(); !strings.Contains(got, "<policy-violation") || strings.Contains(got, "<proceed") || strings.Contains(got, "<challenge") {
			breakf("behind starttls: %s", got)
		}
		p = rawTo(addr, nil)
		p.opens("node1.im.example")
		p.asks(sayTLS, "/>")
		p.say(injected)
		if got := p.rest(); strings.Contains(got, "<") {
			breakf("behind proceed: %s", got)
		}
		st.until("it is noted", func() bool {
			is := st.server.Closed()[0]
			return is.Reason == server.EndTLS && strings.Contains(is.Text, "behind <proceed/>")
		})
	})
}

// TestModernPatience: the time to authenticate is one for the whole opening, TLS included.
func TestModernPatience(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("timers.handshake=1s")
		st.set("listen.component_tls=127.0.0.1:0")
		addr := st.running().ComponentAddr()
		begun := time.Now()
		p := rawTo(addr, nil)
		p.opens("node1.im.example")
		p.asks(sayTLS, "/>")
		silent := p.rest()
		q := rawTo(addr, nil)
		q.opens("node1.im.example")
		q.startTLS(open())
		q.opens("node1.im.example")
		if got := q.rest(); silent != "" || !strings.Contains(got, "<connection-timeout") || time.Since(begun) > 9*time.Second {
			breakf("%v: %q and %s", time.Since(begun), silent, got)
		}
	})
}

// TestModernTries: the third failure ends the stream, and who fails again and again waits for its answer.
func TestModernTries(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		addr := st.running().ComponentAddr()
		begun, refused := time.Now(), st.server.Handshakes().Refused
		for range 4 {
			begun = time.Now()
			p := rawTo(addr, nil)
			p.opens("node1.im.example")
			for range 3 {
				if got := p.scram("node1.im.example", "not-the-"+house); !strings.Contains(got, "<not-authorized/>") {
					breakf("%s", got)
				}
			}
			if got := p.rest(); !strings.Contains(got, "<policy-violation") || !strings.HasSuffix(got, "</stream:stream>") {
				breakf("behind the third: %s", got)
			}
		}
		if took := time.Since(begun); took < time.Second {
			breakf("the 11th failure was answered within %v", took)
		}
		if got := st.server.Handshakes().Refused - refused; got != 4 {
			breakf("%d connections were refused", got)
		}
		if log := st.log.text(); strings.Contains(log, fmt.Sprintf("%q", house)) {
			breakf("a secret is in the log")
		}
	})
}

// TestModernProofNotedOnce: a peer whose proof has failed is written down once, however it leaves then.
func TestModernProofNotedOnce(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"it drops the connection", "it closes its stream"} {
		onStage(t, func(st *stage) {
			addr := st.running().ComponentAddr()
			refused := st.server.Handshakes().Refused
			p := rawTo(addr, nil)
			p.opens("node1.im.example")
			p.scram("node1.im.example", "not-the-"+house)
			if how == "it closes its stream" {
				p.asks("</stream:stream>", "</stream:stream>")
			}
			_ = p.conn.Close()
			st.until("it is counted", func() bool { return st.server.Handshakes().Refused == refused+1 })
			if is := st.server.Closed(); len(is) != 1 || is[0].State != server.LinkRefused || is[0].Reason != "not-authorized" {
				breakf("%s: %+v", how, is)
			}
		})
	}
}

// TestModernStop: a stop does not wait for a peer that was told to begin TLS and does not, and says nothing to it in the clear.
func TestModernStop(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		p := rawTo(st.running().ComponentAddr(), nil)
		p.opens("node1.im.example")
		p.asks(sayTLS, "/>")
		begun := time.Now()
		st.stop()
		if got := p.rest(); strings.Contains(got, "<") {
			breakf("it was told %s", got)
		}
		st.wait()
		if is := st.server.Closed(); len(is) != 1 || is[0].Reason != server.EndStopped || time.Since(begun) > 5*time.Second {
			breakf("after %v: %+v", time.Since(begun), is)
		}
	})
}
