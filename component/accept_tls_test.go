package component

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

var notFromHere = &stanza.StreamError{Condition: "policy-violation", Text: "not from here; go elsewhere"}

// TestStartTLS: behind TLS all begins anew: header, id, features; nothing of what was said before counts (A21, D01).
func TestStartTLS(t *testing.T) {
	for _, deny := range []*stanza.StreamError{nil, notFromHere} {
		m := openModern(acceptor(), Initiator{StartTLS: true, Deny: deny})
		m.must(t, modernHeader)
		before := m.id(t)
		answer, done, err := m.tell(startTLS)
		if answer != proceed || done || !errors.Is(err, ErrStartTLS) {
			t.Fatalf("%v %v, said %s", done, err, answer)
		}
		if answer, _, err := m.tell(modernHeader); answer != "" || !errors.Is(err, ErrStartTLS) {
			t.Errorf("read on before TLS: %v, said %s", err, answer)
		}
		m.rest = nil
		m.hs.Secured(tls.ConnectionState{})
		answer = m.must(t, modernHeader)
		if strings.Contains(answer, before) || strings.Contains(answer, "starttls") || !strings.Contains(answer, "<mechanism>SCRAM-SHA-256</mechanism>") {
			t.Errorf("behind TLS: %s", answer)
		}
		if answer := m.scram(t, client("node1.im.example", rightSecret, "")); !strings.HasPrefix(answer, "<success") {
			t.Errorf("behind TLS: %s", answer)
		}
	}
}

// TestStartTLSInjection is rule D04: what comes behind <starttls/> without TLS ends the stream, and is never taken for what
// came over TLS (the fault of many servers, CVE-2011-0411).
func TestStartTLSInjection(t *testing.T) {
	for _, injected := range []string{"\n", " ", "<", modernHeader, "<auth" + nsSASL + authScram + "/>", "\x16\x03\x01\x02\x00", startTLS} {
		m := openModern(acceptor(), Initiator{StartTLS: true})
		m.must(t, modernHeader)
		answer, done, err := m.tell(startTLS + injected)
		var se *stanza.StreamError
		if done || !errors.As(err, &se) || se.Condition != "policy-violation" || strings.Contains(answer, "proceed") {
			t.Errorf("%q: %v %v, said %s", injected, done, err, answer)
		}
	}
}

// TestStartTLSRequired: from an address that needs TLS nothing else is taken (D02), least of all a weaker proof.
func TestStartTLSRequired(t *testing.T) {
	digest := func(m *modernOpening) string { return "<handshake>" + sha(m.id(t), rightSecret) + "</handshake>" }
	for _, c := range []struct {
		text      func(*modernOpening) string
		condition string
	}{
		{digest, "policy-violation"},
		{func(*modernOpening) string { return enable }, "policy-violation"},
		{func(*modernOpening) string { return "<message/>" }, "policy-violation"},
		{func(*modernOpening) string { return "<auth" + nsSASL + authScram + "/>" }, ""},
		{func(*modernOpening) string { return "<auth" + nsSASL + " mechanism='EXTERNAL'>=</auth>" }, ""},
		{func(*modernOpening) string { return "<auth" + nsSASL + " mechanism='PLAIN'/>" }, ""},
	} {
		m := openModern(acceptor(), Initiator{StartTLS: true, Deny: notFromHere})
		m.must(t, modernHeader)
		text := c.text(m)
		answer, done, err := m.tell(text)
		var se *stanza.StreamError
		switch {
		case done:
			t.Errorf("%s: attached", text)
		case c.condition != "" && (!errors.As(err, &se) || se.Condition != c.condition):
			t.Errorf("%s: %v", text, err)
		case c.condition == "" && (err != nil || !strings.Contains(answer, "<encryption-required/>")):
			t.Errorf("%s: %v, said %s", text, err, answer)
		}
	}
}

// TestStartTLSNotOffered: over TLS, or where the server has no certificate, it is refused (D03).
func TestStartTLSNotOffered(t *testing.T) {
	for _, from := range []Initiator{{}, {TLS: &tls.ConnectionState{}, StartTLS: true}} {
		m := openModern(acceptor(), from)
		m.must(t, modernHeader)
		answer, done, err := m.tell(startTLS)
		if done || err == nil || errors.Is(err, ErrStartTLS) || answer != "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" {
			t.Errorf("%v %v, said %s", done, err, answer)
		}
	}
}

// TestModernKeepsItsName: across the restarts of a stream neither to nor from may change, nor its kind (A22, S13, CVE-2018-10847).
func TestModernKeepsItsName(t *testing.T) {
	plain := strings.Replace(modernHeader, " pb:modern='1'", "", 1)
	for _, c := range []struct {
		first, second, condition string
	}{
		{modernHeader, strings.Replace(modernHeader, "node1.im", "NODE1.IM", 1), ""},
		{modernHeader, strings.Replace(modernHeader, " to=", " from='node1.im.example' to=", 1), ""},
		{modernHeader, strings.Replace(modernHeader, "node1.im.example", "bücher.example", 1), "not-authorized"},
		{modernHeader, strings.Replace(modernHeader, "node1.im.example", "im.example", 1), "not-authorized"},
		{strings.Replace(modernHeader, " to=", " from='a' to=", 1), strings.Replace(modernHeader, " to=", " from='b' to=", 1), "not-authorized"},
		{modernHeader, strings.Replace(modernHeader, " to='node1.im.example'", "", 1), "host-unknown"},
		{modernHeader, plain, "policy-violation"},
		{modernHeader, strings.Replace(modernHeader, "accept'", "connect'", 1), "invalid-namespace"},
		{modernHeader, "<message/>", "bad-format"},
	} {
		for name, restart := range map[string]func(*modernOpening){
			"TLS": func(m *modernOpening) {
				if _, _, err := m.tell(startTLS); !errors.Is(err, ErrStartTLS) {
					t.Fatal(err)
				}
				m.hs.Secured(tls.ConnectionState{})
			},
			"SASL": func(m *modernOpening) {
				if answer := m.scram(t, client("node1.im.example", rightSecret, "")); !strings.HasPrefix(answer, "<success") {
					t.Fatal(answer)
				}
			},
		} {
			m := openModern(acceptor(), Initiator{StartTLS: true})
			m.must(t, c.first)
			restart(m)
			_, done, err := m.tell(c.second)
			var se *stanza.StreamError
			switch {
			case done, c.condition == "" && err != nil:
				t.Errorf("%s, %s: %v %v", name, c.second, done, err)
			case c.condition == "":
			case !errors.As(err, &se) || se.Condition != c.condition:
				t.Errorf("%s, %s: %v instead of %s", name, c.second, err, c.condition)
			case strings.Count(string(m.hs.Refuse(se)), "<stream:stream ") != 1 || !strings.Contains(string(m.hs.Refuse(se)), "</stream:stream>"):
				t.Errorf("%s, %s: the refusal comes without a header of its stream", name, c.second)
			}
		}
	}
}

// TestModernBounded: the bytes of a peer that has proved nothing count over restarts of its stream (S14, RFC 6120 13.12).
func TestModernBounded(t *testing.T) {
	m := openModern(acceptor(), Initiator{StartTLS: true})
	pad := strings.Replace(modernHeader, " to=", " a='"+strings.Repeat("x", 3900)+"' to=", 1)
	m.must(t, pad)
	if _, _, err := m.tell(startTLS); !errors.Is(err, ErrStartTLS) {
		t.Fatal(err)
	}
	m.hs.Secured(tls.ConnectionState{})
	m.must(t, pad)
	if answer := m.scram(t, client("node1.im.example", rightSecret, "")); !strings.HasPrefix(answer, "<success") {
		t.Fatal(answer)
	}
	_, done, err := m.tell(pad)
	var se *stanza.StreamError
	if done || !errors.As(err, &se) || se.Condition != "policy-violation" || !strings.Contains(se.Text, "10000 bytes") {
		t.Errorf("%v %v", done, err)
	}
}

// TestModernBoundedAtOnce: they count, too, when they come together.
func TestModernBoundedAtOnce(t *testing.T) {
	m := openModern(acceptor(), Initiator{})
	bad := "<auth" + nsSASL + authScram + ">" + strings.Repeat("?", 6000) + "</auth>"
	_, done, err := m.tell(modernHeader + bad + bad)
	var se *stanza.StreamError
	if done || !errors.As(err, &se) || !strings.Contains(se.Text, "10000 bytes") || len(m.failed) != 1 {
		t.Errorf("%v %v, failures %v", done, err, m.failed)
	}
}

// TestStartTLSForgetsSASL: an exchange that was begun without TLS does not go on over it (A21).
func TestStartTLSForgetsSASL(t *testing.T) {
	m := openModern(acceptor(), Initiator{StartTLS: true})
	c := client("node1.im.example", rightSecret, "")
	_, first, _ := c.Step(nil)
	m.must(t, modernHeader)
	_, final, err := c.Step(inside(t, m.must(t, element("auth", authScram, first)), "challenge"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.tell(startTLS); !errors.Is(err, ErrStartTLS) {
		t.Fatal(err)
	}
	m.hs.Secured(tls.ConnectionState{})
	m.must(t, modernHeader)
	if answer := m.must(t, element("response", "", final)); !strings.Contains(answer, "<malformed-request/>") {
		t.Errorf("it went on: %s", answer)
	}
}

// TestModernLeaves: who closes the stream is answered with its end, not with an error (C01).
func TestModernLeaves(t *testing.T) {
	m := openModern(acceptor(), Initiator{})
	m.must(t, modernHeader)
	if _, done, err := m.tell("</stream:stream>"); done || !errors.Is(err, ErrLeft) {
		t.Errorf("%v %v", done, err)
	}
}
