package component

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/sasl"
)

// fakeModern speaks modern component streams by hand. Each link that was authenticated comes out of links, and what is
// behind is the test's: it answers <enable/> and <resume/>, and acknowledges.
type fakeModern struct {
	links   chan *modernLink
	dials   chan string // what the node opened a stream with: modern or plain
	rounds  int         // of PBKDF2 in the challenge, 4096 if zero
	feature string      // instead of mechanisms
	spoil   func(step string, data []byte) []byte
	tls     *tls.Config  // for STARTTLS, which is then offered
	inject  string       // plaintext behind <proceed/>
	away    atomic.Bool  // nobody listens
	first   atomic.Value // a string: what is said instead of an answer to the first header; "cut" closes the connection
	gave    string       // what authenticated: the mechanism, and the TLS state
}

// modernLink is the server's end of one connection.
type modernLink struct {
	fakeLink
	d *xml.Decoder
}

func newFakeModern() *fakeModern {
	return &fakeModern{links: make(chan *modernLink, 64), dials: make(chan string, 64)}
}

func (f *fakeModern) config() Config {
	return Config{Addrs: []string{"hub1:5347"}, Domain: "node1.im.example", Secret: fakeSecret, DialContext: f.dial}
}

func (f *fakeModern) dial(context.Context, string, string) (net.Conn, error) {
	if f.away.Load() {
		return nil, io.ErrClosedPipe
	}
	mine, theirs := net.Pipe()
	l := &modernLink{fakeLink: fakeLink{conn: mine, got: make(chan fakeStanza, 1<<16)}}
	go func() {
		defer close(l.got)
		defer func() { l.conn.Close() }()
		if l.open(f) {
			f.links <- l
			l.readAll()
		}
	}()
	return theirs, nil
}

const fakeHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'" +
	" from='node1.im.example' id='s1' version='1.0' xmlns:pb='urn:patchbay:component:1' pb:modern='1'>"

// header reads the node's header and answers it with features.
func (l *modernLink) header(features string) bool {
	l.d = xml.NewDecoder(l.conn)
	root, err := nextStart(l.d)
	if err != nil || !isModern(root) {
		return false
	}
	l.write(fakeHeader + "<stream:features>" + features + "</stream:features>")
	return true
}

// open answers up to the authentication.
func (l *modernLink) open(f *fakeModern) bool {
	l.d = xml.NewDecoder(l.conn)
	root, err := nextStart(l.d)
	if err != nil {
		return false
	}
	if !isModern(root) {
		f.dials <- "plain"
		l.servePlain(root, f)
		return false
	}
	f.dials <- "modern"
	if first, _ := f.first.Load().(string); first != "" {
		if first != "cut" {
			l.write(first)
		}
		return false
	}
	mechanisms := "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>"
	if f.feature != "" {
		mechanisms = f.feature
	}
	offer := mechanisms
	if f.tls != nil {
		offer = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
	}
	l.write(fakeHeader + "<stream:features>" + offer + "</stream:features>")
	if f.tls != nil {
		if s, err := nextStart(l.d); err != nil || s.Name.Local != "starttls" || l.d.Skip() != nil {
			return false
		}
		l.write("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + f.inject)
		l.conn = tls.Server(l.conn, f.tls)
		if !l.header(mechanisms) {
			return false
		}
	}
	return l.authenticate(f) && l.header("<sm xmlns='urn:xmpp:sm:3'><required/></sm>")
}

func (l *modernLink) servePlain(root xml.StartElement, f *fakeModern) {
	l.write("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='" + attr(root, "to") + "' id='s1'>")
	if s, err := nextStart(l.d); err == nil && l.d.DecodeElement(&struct{}{}, &s) == nil {
		l.write("<handshake/>")
		f.links <- l
		l.readAll()
	}
}

// authenticate takes SCRAM-SHA-256 or EXTERNAL.
func (l *modernLink) authenticate(f *fakeModern) bool {
	rounds := f.rounds
	if rounds == 0 {
		rounds = fewestRounds
	}
	var salted []byte
	if rounds <= mostRounds {
		salted = sasl.SCRAMSaltPassword(sha256.New, []byte(fakeSecret), []byte("salt"), rounds)
	}
	machine := sasl.NewServer(sasl.ScramSha256, func(*sasl.Negotiator) bool { return true },
		sasl.SaltedCredentials(func(_, _ []byte, _ string) ([]byte, []byte, int64, error) {
			return []byte("salt"), salted, int64(rounds), nil
		}))
	for {
		s, err := nextStart(l.d)
		var text string
		if err != nil || l.d.DecodeElement(&text, &s) != nil {
			return false
		}
		f.gave += attr(s, "mechanism")
		if attr(s, "mechanism") == external {
			l.write("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
			return true
		}
		data, _ := base64.StdEncoding.DecodeString(text)
		more, out, err := machine.Step(data)
		if err != nil {
			l.write("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>the secret is another</text></failure>")
			return false
		}
		step := "success"
		if more {
			step = "challenge"
		}
		if f.spoil != nil {
			out = f.spoil(step, out)
		}
		l.write("<" + step + " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + base64.StdEncoding.EncodeToString(out) + "</" + step + ">")
		if !more {
			return true
		}
	}
}

// readAll gives what the node sends to got.
func (l *modernLink) readAll() {
	l.tail = "cut"
	for {
		start, err := nextStart(l.d)
		if err == io.EOF {
			l.tail = "close"
			l.write("</stream:stream>")
			return
		}
		var in struct {
			Inner string `xml:",innerxml"`
		}
		if err != nil || l.d.DecodeElement(&in, &start) != nil {
			return
		}
		l.got <- fakeStanza{start: start, inner: in.Inner}
	}
}

// says reads the next element and fails unless it is as described: its name, if one is given, and parts of its attributes and content.
func (l *modernLink) says(t *testing.T, name string, parts ...string) fakeStanza {
	t.Helper()
	s := l.next(t)
	if name != "" && s.start.Name.Local != name {
		t.Fatalf("the node says %+v %s, want %s", s.start, s.inner, name)
	}
	contains(t, fmt.Sprint(s.start.Attr)+s.inner, parts...)
	return s
}

// enable answers <enable/>.
func (l *modernLink) enable(t *testing.T, id string) *modernLink {
	t.Helper()
	l.says(t, "enable", "resume", "true")
	l.write("<enabled xmlns='urn:xmpp:sm:3' id='" + id + "' resume='true' max='30'/>")
	return l
}

// ack writes an <a/>.
func (l *modernLink) ack(h int) { l.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)) }

// bodies reads stanzas up to an <r/> and gives their bodies.
func (l *modernLink) bodies(t *testing.T) string {
	t.Helper()
	var out []string
	for {
		s := l.next(t)
		if s.start.Name.Local == "r" {
			return strings.Join(out, " ")
		}
		_, rest, _ := strings.Cut(s.inner, "<body>")
		body, _, _ := strings.Cut(rest, "</body>")
		if strings.Contains(s.inner, "urn:xmpp:delay") {
			body += "+delay"
		}
		out = append(out, body)
	}
}

// attached dials, and gives the node and the first link, enabled under id1.
func (f *fakeModern) attached(t *testing.T, cfg Config) (*Node, *modernLink) {
	t.Helper()
	got := make(chan *modernLink, 1)
	go func() { got <- (<-f.links).enable(t, "id1") }()
	n, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		<-n.Done()
	})
	return n, <-got
}

// play runs a test with a fake server in a bubble.
func play(t *testing.T, do func(t *testing.T, f *fakeModern)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { do(t, newFakeModern()) })
}

// send sends messages with these bodies.
func send(t *testing.T, n *Node, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Send(ctx, chatOf(b)); err != nil {
			t.Error(err)
		}
	}
}
