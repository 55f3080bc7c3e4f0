package component

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/patchbay-im/patchbay/stanza"
)

const (
	modernHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'" +
		" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='1.0' to='node1.im.example'>"
	startTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	proceed  = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	enable   = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
	nsSASL   = " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
	smOnly   = "<stream:features><sm xmlns='urn:xmpp:sm:3'><required/></sm></stream:features>"
)

// modernOpening is a peer that opens modern streams, and what it was told of failed proofs.
type modernOpening struct {
	*opening
	a      *Acceptor
	failed []string
	heard  int // of said
}

func openModern(a *Acceptor, from Initiator) *modernOpening {
	m := &modernOpening{opening: &opening{}, a: a}
	from.Addr, from.Failed = peer, func(f *Failure) { m.failed = append(m.failed, f.Condition) }
	m.hs = NewHandshake(a, from, func(b []byte) error { m.said.Write(b); return nil })
	return m
}

// tell feeds text and gives what was answered to it.
func (m *modernOpening) tell(text string) (answer string, done bool, err error) {
	done, err = m.feed(text)
	answer = m.said.String()[m.heard:]
	m.heard = m.said.Len()
	return answer, done, err
}

// must is tell where the opening goes on.
func (m *modernOpening) must(t *testing.T, text string) string {
	t.Helper()
	answer, done, err := m.tell(text)
	if done || err != nil {
		t.Fatalf("%s: %v, done %v; said %s", text, err, done, answer)
	}
	return answer
}

// inside gives the decoded content of the first element of a name.
func inside(t *testing.T, answer, name string) []byte {
	t.Helper()
	_, after, _ := strings.Cut(answer, "<"+name+nsSASL)
	text, _, ok := strings.Cut(strings.TrimPrefix(after, ">"), "</"+name+">")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		t.Fatalf("no <%s/> with content: %q", name, answer)
	}
	return b
}

func element(name, attrs string, content []byte) string {
	return "<" + name + nsSASL + attrs + ">" + base64.StdEncoding.EncodeToString(content) + "</" + name + ">"
}

// client is a SCRAM-SHA-256 client for a name and a secret, with an authorization identity.
func client(user, secret, authzid string) *sasl.Negotiator {
	return sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() (u, p, i []byte) { return []byte(user), []byte(secret), []byte(authzid) }))
}

const authScram = " mechanism='SCRAM-SHA-256'"

// scram authenticates, and gives the last answer: success, or failure.
func (m *modernOpening) scram(t *testing.T, c *sasl.Negotiator) string {
	t.Helper()
	_, first, err := c.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := m.tell(element("auth", authScram, first))
	if err != nil || !strings.HasPrefix(answer, "<challenge") {
		return answer
	}
	_, final, err := c.Step(inside(t, answer, "challenge"))
	if err != nil {
		t.Fatal(err)
	}
	answer, _, _ = m.tell(element("response", "", final))
	if strings.HasPrefix(answer, "<success") {
		if _, _, err := c.Step(inside(t, answer, "success")); err != nil {
			t.Errorf("the signature of the server: %v", err)
		}
	}
	return answer
}

// TestModernFeatures: what is offered, by connection, address and what proves the domain.
func TestModernFeatures(t *testing.T) {
	deny := &stanza.StreamError{Condition: "policy-violation", Text: "not from here; go elsewhere"}
	ca := newAuthority(t, "ca")
	bare, certified := &tls.ConnectionState{}, ca.connection(t, leafForm("node1.im.example"))
	const (
		scram    = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism></mechanisms>"
		both     = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>"
		external = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
	)
	for _, c := range []struct {
		name          string
		from          Initiator
		roots, secret bool
		want          string // "" is a refusal
	}{
		{"plain, no certificate of ours", Initiator{}, true, true, scram},
		{"plain", Initiator{StartTLS: true}, true, true, startTLS + scram},
		{"plain, from elsewhere", Initiator{StartTLS: true, Deny: deny}, true, true, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"},
		{"plain, from elsewhere, no certificate of ours", Initiator{Deny: deny}, true, true, ""},
		{"plain, without a secret", Initiator{StartTLS: true}, true, false, startTLS},
		{"plain, without a secret or a certificate of ours", Initiator{}, true, false, ""},
		{"TLS", Initiator{TLS: bare}, true, true, scram},
		{"TLS, with a client certificate", Initiator{TLS: certified}, true, true, both},
		{"TLS, with a client certificate that nobody asked for", Initiator{TLS: certified}, false, true, scram},
		{"TLS, without a secret", Initiator{TLS: certified}, true, false, external},
		{"TLS, without anything", Initiator{TLS: bare}, true, false, ""},
	} {
		a := acceptor()
		if c.roots {
			a.Roots = ca.roots
		}
		if !c.secret {
			a.Secrets = func(string) [][]byte { return nil }
		}
		m := openModern(a, c.from)
		answer, _, err := m.tell(modernHeader)
		if c.want == "" {
			if err == nil || strings.Contains(answer, "features") {
				t.Errorf("%s: %v, said %s", c.name, err, answer)
			}
			continue
		}
		want := "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='node1.im.example' id='" +
			m.id(t) + "' version='1.0' xmlns:pb='urn:patchbay:component:1' pb:modern='1'><stream:features>" + c.want + "</stream:features>"
		if answer != want || err != nil {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, err, answer, want)
		}
	}
}

// TestModernScram: either secret proves the domain, over a new header the stream is enabled, and what follows is the caller's.
func TestModernScram(t *testing.T) {
	for _, which := range []string{rightSecret, otherSecret} {
		m := openModern(acceptor(), Initiator{Trusted: true})
		m.must(t, modernHeader)
		before := m.id(t)
		if answer := m.scram(t, client("Node1.im.example", which, "")); !strings.HasPrefix(answer, "<success") {
			t.Fatalf("refused: %s", answer)
		}
		header := m.must(t, modernHeader)
		if !strings.HasSuffix(header, smOnly) || strings.Contains(header, before) || !strings.Contains(header, " pb:modern='1'>") {
			t.Errorf("behind success: %s", header)
		}
		_, done, err := m.tell(enable + "<message to='x'/>")
		if want := (Opening{Modern: true, Enable: true, Resume: true}); !done || err != nil || m.hs.Opening() != want {
			t.Errorf("enabled: %v %v %+v", done, err, m.hs.Opening())
		}
		if string(m.rest) != "<message to='x'/>" || m.hs.Method() != MethodSCRAM || len(m.failed) != 0 {
			t.Errorf("left %q, by %s, failures %v", m.rest, m.hs.Method(), m.failed)
		}
	}
}

// TestModernScramPieces: the bytes may come one by one.
func TestModernScramPieces(t *testing.T) {
	m := openModern(acceptor(), Initiator{})
	drip := func(text string) string {
		t.Helper()
		for _, c := range strings.Split(text, "") {
			if _, err := m.feed(c); err != nil {
				t.Fatal(err)
			}
		}
		answer := m.said.String()[m.heard:]
		m.heard = m.said.Len()
		return answer
	}
	c := client("node1.im.example", otherSecret, "node1.im.example")
	drip(modernHeader)
	_, first, _ := c.Step(nil)
	if answer := drip("<auth" + nsSASL + authScram + "/>"); answer != "<challenge"+nsSASL+"/>" {
		t.Fatalf("no initial response: %s", answer)
	}
	_, final, err := c.Step(inside(t, drip(element("response", "", first)), "challenge"))
	if err != nil {
		t.Fatal(err)
	}
	drip(element("response", "", final))
	drip(modernHeader)
	drip(enable)
	if want := (Opening{Modern: true, Enable: true, Resume: true}); m.hs.Opening() != want {
		t.Errorf("enabled: %+v", m.hs.Opening())
	}
}

// TestModernFailures: each failed proof has its condition of RFC 6120 6.5, is counted and told, and leaves the stream as it was.
func TestModernFailures(t *testing.T) {
	first := []byte("n,,n=node1.im.example,r=abcdefgh")
	for _, c := range []struct{ name, text, want string }{
		{"an unknown mechanism", element("auth", " mechanism='PLAIN'", []byte("\x00node1.im.example\x00"+rightSecret)), "invalid-mechanism"},
		{"a weaker mechanism", element("auth", " mechanism='SCRAM-SHA-1'", first), "invalid-mechanism"},
		{"channel binding", element("auth", " mechanism='SCRAM-SHA-256-PLUS'", first), "invalid-mechanism"},
		{"anonymous", "<auth" + nsSASL + " mechanism='ANONYMOUS'/>", "invalid-mechanism"},
		{"no mechanism", "<auth" + nsSASL + "/>", "invalid-mechanism"},
		{"the name in small letters", element("auth", " mechanism='scram-sha-256'", first), "invalid-mechanism"},
		{"external without TLS", "<auth" + nsSASL + " mechanism='EXTERNAL'>=</auth>", "encryption-required"},
		{"no base64", "<auth" + nsSASL + authScram + ">a?</auth>", "incorrect-encoding"},
		{"base64 without padding", "<auth" + nsSASL + authScram + ">YQ</auth>", "incorrect-encoding"},
		{"base64 with bits that count for nothing", "<auth" + nsSASL + authScram + ">YR==</auth>", "incorrect-encoding"},
		{"white space in base64", "<auth" + nsSASL + authScram + ">bi\nws</auth>", "incorrect-encoding"},
		{"an element inside", "<auth" + nsSASL + authScram + "><x/></auth>", "malformed-request"},
		{"no message of SCRAM", element("auth", authScram, []byte("hello")), "malformed-request"},
		{"a message with an extension", element("auth", authScram, []byte("n,,m=x,n=node1.im.example,r=abcdefgh")), "malformed-request"},
		{"asks for channel binding", element("auth", authScram, []byte("p=tls-exporter,,n=node1.im.example,r=abcdefgh")), "malformed-request"},
		{"an empty nonce", element("auth", authScram, []byte("n,,n=node1.im.example,r=")), "malformed-request"},
		{"an empty response", "<auth" + nsSASL + authScram + "/><response" + nsSASL + "/>", "malformed-request"},
		{"another user", element("auth", authScram, []byte("n,,n=node2.im.example,r=abcdefgh")), "not-authorized"},
		{"a user of the domain", element("auth", authScram, []byte("n,,n=a@node1.im.example,r=abcdefgh")), "not-authorized"},
		{"another identity", element("auth", authScram, []byte("n,a=node2.im.example,n=node1.im.example,r=abcdefgh")), "invalid-authzid"},
		{"a response to nothing", element("response", "", first), "malformed-request"},
		{"a second auth", element("auth", authScram, first) + element("auth", authScram, first), "malformed-request"},
		{"an abort", element("auth", authScram, first) + "<abort" + nsSASL + "/>", "aborted"},
		{"a final message without a proof", element("auth", authScram, first) + element("response", "", []byte("c=biws,r=abcdefgh")), "malformed-request"},
		{"a final message of another nonce", element("auth", authScram, first) + element("response", "", []byte("c=biws,r=abcdefgh,p=AAAA")), "not-authorized"},
		{"an unknown element", "<success" + nsSASL + "/>", "malformed-request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := acceptor()
			a.Roots = newAuthority(t, "ca").roots
			m := openModern(a, Initiator{StartTLS: true})
			m.must(t, modernHeader)
			answer := m.must(t, c.text)
			f := "<failure" + nsSASL + "><" + c.want + "/><text xml:lang='en'>"
			if _, text, ok := strings.Cut(answer, f); !ok || !strings.HasSuffix(text, "</text></failure>") || strings.Contains(text, "secret-of") {
				t.Fatalf("answered %s", answer)
			}
			if len(m.failed) != 1 || m.failed[0] != c.want || a.Gate.Stats().Failed != 1 {
				t.Errorf("told %v, counted %d", m.failed, a.Gate.Stats().Failed)
			}
			if answer := m.scram(t, client("node1.im.example", rightSecret, "")); !strings.HasPrefix(answer, "<success") {
				t.Errorf("the right secret on the same stream: %s", answer)
			}
		})
	}
}

// TestModernWrongSecret: three tries, then the stream ends (RFC 6120 6.4.5). The text holds no key.
func TestModernWrongSecret(t *testing.T) {
	m := openModern(acceptor(), Initiator{Trusted: true})
	m.must(t, modernHeader)
	for try := 1; try <= maxTries; try++ {
		answer := m.scram(t, client("node1.im.example", "not-the-secret-of-16", ""))
		if !strings.HasPrefix(answer, "<failure"+nsSASL+"><not-authorized/>") || strings.Contains(answer, "Key") || strings.Contains(answer, "secret-of-16") {
			t.Errorf("try %d: %s", try, answer)
		}
	}
	if got := m.a.Gate.Stats().Failed; got != maxTries {
		t.Errorf("counted %d", got)
	}
}

// TestModernTries: the third failure is followed by the end of the stream.
func TestModernTries(t *testing.T) {
	m := openModern(acceptor(), Initiator{})
	m.must(t, modernHeader)
	bad := "<abort" + nsSASL + "/>"
	m.must(t, bad+bad)
	answer, done, err := m.tell(bad)
	var se *stanza.StreamError
	if done || !errors.As(err, &se) || se.Condition != "policy-violation" || strings.Count(answer, "<failure") != 1 {
		t.Errorf("%v, said %s", err, answer)
	}
}

// TestModernReplay: what proved the domain once proves nothing a second time, on a new stream or on the same (S10, RFC 5802 9).
func TestModernReplay(t *testing.T) {
	a := acceptor()
	first := openModern(a, Initiator{})
	c := client("node1.im.example", rightSecret, "")
	_, hello, _ := c.Step(nil)
	auth := element("auth", authScram, hello)
	first.must(t, modernHeader)
	_, final, err := c.Step(inside(t, first.must(t, auth), "challenge"))
	if err != nil {
		t.Fatal(err)
	}
	response := element("response", "", final)
	for range 2 {
		m := openModern(a, Initiator{})
		m.must(t, modernHeader)
		m.must(t, auth)
		if answer := m.must(t, response); !strings.Contains(answer, "<not-authorized/>") {
			t.Errorf("replayed: %s", answer)
		}
	}
	if answer := first.must(t, response); !strings.HasPrefix(answer, "<success") {
		t.Fatalf("the first: %s", answer)
	}
	first.must(t, modernHeader)
	if _, done, err := first.tell(auth); done || err == nil {
		t.Errorf("a second time on the same stream: %v %v", done, err)
	}
}
