package component

import (
	"errors"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

// authenticated is a modern stream whose features are sm.
func authenticated(t *testing.T, a *Acceptor) *modernOpening {
	t.Helper()
	m := openModern(a, Initiator{})
	m.must(t, modernHeader)
	if answer := m.scram(t, client("node1.im.example", rightSecret, "")); !strings.HasPrefix(answer, "<success") {
		t.Fatalf("refused: %s", answer)
	}
	if answer := m.must(t, modernHeader); !strings.HasSuffix(answer, smOnly) {
		t.Fatalf("features: %s", answer)
	}
	return m
}

// TestModernManage: what ends the opening, and what does not.
func TestModernManage(t *testing.T) {
	const sm = " xmlns='urn:xmpp:sm:3'"
	for _, c := range []struct {
		text      string
		want      Opening
		condition string
	}{
		{"<enable" + sm + "/>", Opening{Enable: true}, ""},
		{"<enable" + sm + " resume='false' max='5'/>", Opening{Enable: true}, ""},
		{"<enable" + sm + " resume='1'/>", Opening{Enable: true, Resume: true}, ""},
		{"<s:enable xmlns:s='urn:xmpp:sm:3' resume='tru&#101;'/>", Opening{Enable: true, Resume: true}, ""},
		{"<resume" + sm + " previd='a&amp;b' h='4294967295'/>", Opening{PrevID: "a&b", H: 1<<32 - 1}, ""},
		{"<resume" + sm + " previd='a' h='0'/>", Opening{PrevID: "a"}, ""},
		{"<resume" + sm + " previd='a' h='4294967296'/>", Opening{}, "bad-format"},
		{"<resume" + sm + " previd='a' h='-1'/>", Opening{}, "bad-format"},
		{"<resume" + sm + " previd='a'/>", Opening{}, "bad-format"},
		{"<resume" + sm + " h='1'/>", Opening{}, "bad-format"},
		{"<enable xmlns='urn:xmpp:sm:2'/>", Opening{}, "policy-violation"},
		{"<enable/>", Opening{}, "policy-violation"},
		{"<r" + sm + "/>", Opening{}, "policy-violation"},
		{"<message to='node1.im.example'/>", Opening{}, "not-authorized"},
		{"<auth" + nsSASL + authScram + "/>", Opening{}, "policy-violation"},
		{startTLS, Opening{}, "policy-violation"},
		{"<handshake>x</handshake>", Opening{}, "policy-violation"},
		{modernHeader[len("<?xml version='1.0'?>"):], Opening{}, "policy-violation"},
	} {
		m := authenticated(t, acceptor())
		answer, done, err := m.tell(c.text)
		var se *stanza.StreamError
		switch {
		case answer != "":
			t.Errorf("%s: answered %s", c.text, answer)
		case c.condition != "":
			if done || !errors.As(err, &se) || se.Condition != c.condition {
				t.Errorf("%s: %v %v", c.text, done, err)
			}
		default:
			c.want.Modern = true
			if !done || err != nil || m.hs.Opening() != c.want {
				t.Errorf("%s: %v %v %+v", c.text, done, err, m.hs.Opening())
			}
		}
	}
}

// TestModernNotResumed: a resumption that failed is told so, and the stream goes on with <enable/>, not with another try.
func TestModernNotResumed(t *testing.T) {
	const failed, notFound = "<failed xmlns='urn:xmpp:sm:3'", "><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
	const resume = "<resume xmlns='urn:xmpp:sm:3' previd='gone' h='7'/>"
	for want, known := range map[string]bool{failed + " h='9'" + notFound: true, failed + notFound: false} {
		for _, next := range []string{enable, resume} {
			m := authenticated(t, acceptor())
			if _, done, err := m.tell(resume + next); !done || err != nil || m.hs.Opening() != (Opening{Modern: true, PrevID: "gone", H: 7}) {
				t.Fatalf("%v %v %+v", done, err, m.hs.Opening())
			}
			if err := m.hs.NotResumed(9, known); err != nil {
				t.Fatal(err)
			}
			answer, done, err := m.tell("")
			if answer != want || done != (next == enable) || (err == nil) != done {
				t.Errorf("%s: %v %v %s", next, done, err, answer)
			}
		}
	}
}
