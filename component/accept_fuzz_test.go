package component

import (
	"bytes"
	"crypto/tls"
	"errors"
	"testing"
)

// FuzzHandshake feeds an opening whatever comes, in pieces, over a connection that is secured when it asks for that, with a
// client certificate of another node: it never panics, and it is never done, for no piece knows a secret. A stream that
// has proved its domain is done only by stream management, with an Opening that says so.
func FuzzHandshake(f *testing.F) {
	first := element("auth", authScram, []byte("n,,n=node1.im.example,r=abcdefgh"))
	for _, seed := range []string{
		goodHeader + "\x00<handshake>0123456789012345678901234567890123456789</handshake>",
		modernHeader + "\x00" + first + "\x00" + element("response", "", []byte("c=biws,r=abcdefgh,p=AAAA")),
		modernHeader + "\x00" + startTLS + "\x00" + modernHeader + "\x00<auth" + nsSASL + " mechanism='EXTERNAL'>=</auth>" + first,
		modernHeader + "<abort" + nsSASL + "/><response" + nsSASL + ">=</response>" + enable,
		modernHeader + "\x00<resume xmlns='urn:xmpp:sm:3' previd='x' h='1'/>" + enable + "\x00<message/>",
		modernHeader + "\x00</stream:stream>",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	ca := newAuthority(&testing.T{}, "ca")
	other := ca.connection(&testing.T{}, leafForm("node2.im.example"))
	a := acceptor() // one for all, so that keys are made of secrets once
	a.Roots = ca.roots
	f.Fuzz(func(t *testing.T, text []byte, proved bool) {
		m := openModern(a, Initiator{StartTLS: true})
		if proved {
			m.must(t, modernHeader)
			m.scram(t, client("node1.im.example", rightSecret, ""))
		}
		for _, piece := range bytes.Split(text, []byte{0}) {
			done, err := m.feed(string(piece))
			for try := 0; done; try++ {
				if o := m.hs.Opening(); !proved || !o.Modern || o.Enable == (o.PrevID != "") || try > 1 {
					t.Fatalf("done, proved %v, %+v", proved, o)
				}
				if m.hs.Opening().Enable {
					return
				}
				_ = m.hs.NotResumed(0, false)
				done, err = m.feed("")
			}
			switch {
			case errors.Is(err, ErrStartTLS):
				m.rest = nil
				m.hs.Secured(tls.ConnectionState{PeerCertificates: other.PeerCertificates})
			case err != nil:
				return
			}
		}
	})
}
