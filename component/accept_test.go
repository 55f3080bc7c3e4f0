package component

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

var peer = netip.MustParseAddr("192.0.2.7")

const (
	rightSecret = "the-right-secret-of-16"
	otherSecret = "the-other-secret-of-16"
)

// acceptor grants node1 and a name in Unicode, each with two secrets; im.example and hub1.im.example are ours.
func acceptor() *Acceptor {
	return &Acceptor{
		Secrets: func(domain string) [][]byte {
			if domain == "node1.im.example" || domain == "bücher.example" {
				return [][]byte{[]byte(rightSecret), []byte(otherSecret)}
			}
			return nil
		},
		Ours: func(domain string) bool { return domain == "im.example" || domain == "hub1.im.example" },
		Gate: NewGate(nil),
	}
}

// opening is a peer that opens a stream with a Handshake: what is fed and not used comes again, as from a connection.
type opening struct {
	hs   *Handshake
	said strings.Builder
	rest []byte
}

func newOpening(a *Acceptor, trusted bool) *opening {
	o := &opening{}
	o.hs = NewHandshake(a, Initiator{Addr: peer, Trusted: trusted}, func(b []byte) error { o.said.Write(b); return nil })
	return o
}

func (o *opening) feed(text string) (done bool, err error) {
	o.rest = append(o.rest, text...)
	n, done, err := o.hs.Feed(o.rest)
	o.rest = o.rest[n:]
	return done, err
}

// pieces feeds text cut at an offset, or byte by byte if it is negative.
func (o *opening) pieces(text string, at int) (done bool, err error) {
	parts := []string{text[:max(at, 0)], text[max(at, 0):]}
	if at < 0 {
		parts = strings.Split(text, "")
	}
	for _, part := range parts {
		if done, err = o.feed(part); done || err != nil {
			return done, err
		}
	}
	return done, err
}

// id finds the id of the stream in what the handshake has said.
func (o *opening) id(t *testing.T) string {
	t.Helper()
	_, after, _ := strings.Cut(o.said.String(), " id='")
	id, _, ok := strings.Cut(after, "'")
	if !ok || len(id) != 32 {
		t.Fatalf("no stream header with an id of 128 bits: %q", o.said.String())
	}
	return id
}

func sha(id, secret string) string {
	sum := sha1.Sum([]byte(id + secret))
	return hex.EncodeToString(sum[:])
}

const goodHeader = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='Node1.im.example.' id='x'>"

// TestHandshakePieces cuts a good opening at every place, and feeds it byte by byte.
func TestHandshakePieces(t *testing.T) {
	try := func(at, secretAt int) {
		o := newOpening(acceptor(), false)
		if done, err := o.pieces(goodHeader, at); done || err != nil {
			t.Fatalf("the header cut at %d: %v %v", at, done, err)
		}
		proof := "<handshake>" + sha(o.id(t), otherSecret) + "</handshake>"
		done, err := o.pieces(proof, secretAt)
		if !done || err != nil {
			t.Fatalf("the handshake cut at %d: %v %v", secretAt, done, err)
		}
		if o.hs.Domain() != "node1.im.example" || strings.Count(o.said.String(), "<stream:stream") != 1 {
			t.Fatalf("domain %q, said %q", o.hs.Domain(), o.said.String())
		}
	}
	for at := -1; at < len(goodHeader); at++ {
		try(at, 0)
	}
	for at := -1; at < len("<handshake></handshake>")+40; at++ {
		try(0, at)
	}
}

// TestHandshakeGoesOn: what follows the handshake is not the handshake's: the Scanner goes on there.
func TestHandshakeGoesOn(t *testing.T) {
	o := newOpening(acceptor(), false)
	if _, err := o.feed(goodHeader); err != nil {
		t.Fatal(err)
	}
	done, err := o.feed("<handshake>" + sha(o.id(t), rightSecret) + "</handshake><message to='x'/>")
	if !done || err != nil || string(o.rest) != "<message to='x'/>" {
		t.Fatalf("%v %v, left %q", done, err, o.rest)
	}
	var h stanza.Header
	if tok, _, err := o.hs.Scanner().Next(o.rest, &h); tok != stanza.Element || err != nil || h.Kind != stanza.Message {
		t.Errorf("the next token is %v %v %v", tok, h.Kind, err)
	}
}

// TestHandshakeLang: a language that is longer than tags are is not taken over from the stream header.
func TestHandshakeLang(t *testing.T) {
	const longest = "zh-hant-cn-x-private1-private2-priva" // and one byte more
	for _, c := range []struct{ in, want string }{
		{"de", "de"}, {longest[:maxLang], longest[:maxLang]}, {longest, ""}, {strings.Repeat("x", 3900), ""},
	} {
		o := newOpening(acceptor(), false)
		if _, err := o.feed(strings.Replace(goodHeader, " id=", " xml:lang='"+c.in+"' id=", 1)); err != nil {
			t.Fatal(err)
		}
		done, err := o.feed("<handshake>" + sha(o.id(t), rightSecret) + "</handshake>")
		if got := o.hs.Scanner().StreamHeader().Lang; got != c.want || !done || err != nil {
			t.Errorf("%.50q: %.50q %v %v", c.in, got, done, err)
		}
	}
}

// refusals are openings that end with a stream error; PROOF stands for a good <handshake/>, DIGEST for its content.
var refusals = []struct {
	name, text, condition string
	failure               bool // counted against the address
}{
	{"client namespace", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='node1.im.example'>", "invalid-namespace", false},
	{"no content namespace", "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='node1.im.example'>", "invalid-namespace", false},
	{"component:connect", "<stream:stream xmlns='jabber:component:connect' xmlns:stream='http://etherx.jabber.org/streams' to='node1.im.example'>", "invalid-namespace", false},
	{"no to", "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>", "host-unknown", false},
	{"malformed to", strings.Replace(goodHeader, "Node1.im.example.", "@", 1), "host-unknown", false},
	{"to with a local part", strings.Replace(goodHeader, "Node1", "a@node1", 1), "host-unknown", false},
	{"to with a resource", strings.Replace(goodHeader, "example.'", "example/x'", 1), "host-unknown", false},
	{"not granted", strings.Replace(goodHeader, "Node1", "node2", 1), "host-unknown", true},
	{"a user domain", strings.Replace(goodHeader, "Node1.im.example.", "IM.example", 1), "conflict", false},
	{"the server", strings.Replace(goodHeader, "Node1", "hub1", 1), "conflict", false},
	{"another first element", "<iq xmlns='jabber:component:accept' type='get'/>", "bad-format", false},
	{"text first", "GET / HTTP/1.1\r\n\r\n", "bad-format", false},
	{"a TLS record first", "\x16\x03\x01\x02\x00", "not-well-formed", false},
	{"a document type first", "<!DOCTYPE x>", "restricted-xml", false},
	{"the stream ends", goodHeader + "</stream:stream>", "not-authorized", false},
	{"a stanza first", goodHeader + "<message to='node1.im.example'/>PROOF", "not-authorized", false},
	{"another element first", goodHeader + "<auth>DIGEST</auth>", "not-authorized", false},
	{"a handshake of another namespace", goodHeader + "<handshake xmlns='jabber:client'>DIGEST</handshake>", "not-authorized", false},
	{"an empty handshake", goodHeader + "<handshake/>", "not-authorized", true},
	{"an empty handshake of two tags", goodHeader + "<handshake></handshake>", "not-authorized", true},
	{"a wrong digest", goodHeader + "<handshake>" + strings.Repeat("0", 40) + "</handshake>", "not-authorized", true},
	{"a short digest", goodHeader + "<handshake>0</handshake>", "not-authorized", true},
	{"white space before the digest", goodHeader + "<handshake> DIGEST</handshake>", "not-authorized", true},
	{"white space behind the digest", goodHeader + "<handshake>DIGEST\n</handshake>", "not-authorized", true},
	{"an element in the handshake", goodHeader + "<handshake>DIGEST<x/></handshake>", "not-authorized", true},
	{"an attribute of the handshake", goodHeader + "<handshake a='b'>DIGEST</handshake>", "not-authorized", true},
	{"an attribute behind the namespace", goodHeader + "<handshake xmlns='jabber:component:accept' a='b'>DIGEST</handshake>", "not-authorized", true},
	{"an attribute before the namespace", goodHeader + "<handshake a='b' xmlns='jabber:component:accept'>DIGEST</handshake>", "not-authorized", true},
	{"a second header", goodHeader + goodHeader[len("<?xml version='1.0'?>\n"):], "policy-violation", false},
	{"too deep", goodHeader + "<handshake><a><b/></a></handshake>", "policy-violation", false},
	{"too much white space", goodHeader + strings.Repeat(" ", 10_001), "policy-violation", false},
	{"too long a header", goodHeader[:60] + strings.Repeat("x", 10_000), "policy-violation", false},
	{"too long a handshake", goodHeader + "<handshake>" + strings.Repeat("0", 10_000), "policy-violation", false},
}

// TestHandshakeRefusals: each refusal has its condition and a text without the secret, comes after exactly one stream header
// of ours, and ends the stream. It is the same however the bytes arrive.
func TestHandshakeRefusals(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			for _, at := range []int{0, len(c.text) / 2, -1} {
				a := acceptor()
				o := newOpening(a, true)
				text := c.text
				if rest, ok := strings.CutPrefix(text, goodHeader); ok {
					if _, err := o.feed(goodHeader); err != nil {
						t.Fatal(err)
					}
					digest := sha(o.id(t), rightSecret)
					text = strings.NewReplacer("DIGEST", digest, "PROOF", "<handshake>"+digest+"</handshake>").Replace(rest)
				}
				done, err := o.pieces(text, min(at, len(text)))
				var se *stanza.StreamError
				if done || !errors.As(err, &se) || se.Condition != c.condition || se.Text == "" {
					t.Fatalf("cut at %d: done %v, %v instead of %s", at, done, err, c.condition)
				}
				said := o.said.String() + string(o.hs.Refuse(se))
				if strings.Count(said, "<stream:stream") != 1 || !strings.HasSuffix(said, "</stream:error></stream:stream>") || strings.Contains(said, "secret-of-16") {
					t.Errorf("cut at %d: said %q", at, said)
				}
				if failed := a.Gate.addrs[peer] != nil && a.Gate.addrs[peer].failures == 1; failed != c.failure {
					t.Errorf("cut at %d: counted as a failure: %v", at, failed)
				}
			}
		})
	}
}

// TestHandshakeTrust: only a peer that the operator trusts is told how the configuration would be mended.
func TestHandshakeTrust(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		_, err := newOpening(acceptor(), trusted).feed(strings.Replace(goodHeader, "Node1", "node2", 1))
		if err == nil || strings.Contains(err.Error(), "nodes:") != trusted {
			t.Errorf("trusted %v: %v", trusted, err)
		}
	}
}

// TestHandshakeDenied: who may not attach from where it is, is told so once it has said its name, and nothing of the name.
func TestHandshakeDenied(t *testing.T) {
	deny := &stanza.StreamError{Condition: "policy-violation", Text: "not from here; go elsewhere"}
	for _, to := range []string{"Node1.im.example", "unknown.example", "im.example"} {
		o := newOpening(acceptor(), true)
		o.hs = NewHandshake(acceptor(), Initiator{Addr: peer, Trusted: true, Deny: deny}, func([]byte) error { t.Error("it is answered"); return nil })
		if _, err := o.feed(strings.Replace(goodHeader, "Node1.im.example.", to, 1)); err != deny || o.hs.Domain() != strings.ToLower(to) {
			t.Errorf("%s: %v, named %s", to, err, o.hs.Domain())
		}
	}
}

// TestHandshakeWriteFails: a peer that does not take the header ends the handshake.
func TestHandshakeWriteFails(t *testing.T) {
	gone := errors.New("gone")
	h := NewHandshake(acceptor(), Initiator{Addr: peer}, func([]byte) error { return gone })
	if _, done, err := h.Feed([]byte(goodHeader)); done || !errors.Is(err, gone) {
		t.Errorf("%v %v", done, err)
	}
}

// TestHandshakeIDs: no two streams share an id (RFC 6120 4.7.3).
func TestHandshakeIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		o := newOpening(acceptor(), false)
		if _, err := o.feed(goodHeader); err != nil {
			t.Fatal(err)
		}
		id := o.id(t)
		if seen[id] {
			t.Fatalf("the id %s came twice", id)
		}
		seen[id] = true
	}
}
