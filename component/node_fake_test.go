package component

import (
	"context"
	"crypto/sha1"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
)

const fakeSecret = "sixteen bytes or so"

// fakeServer speaks XEP-0114 by hand over in-memory pipes, so that a test inside a synctest bubble says what the
// server does, when. Each link that the node opens comes out of links.
type fakeServer struct {
	links  chan *fakeLink
	away   chan struct{}           // open: nobody listens
	refuse string                  // a stream error's inside, sent instead of <handshake/>
	greet  string                  // sent in one piece with <handshake/>
	wrap   func(net.Conn) net.Conn // TLS; nil: plain
}

// fakeLink is the server's end of one link.
type fakeLink struct {
	conn net.Conn
	got  chan fakeStanza // closed when the node's stream ends
	tail string          // why it ended: "close" or "cut"; read it after got is closed
}

// fakeStanza is one element that the node sent.
type fakeStanza struct {
	start xml.StartElement
	inner string
}

func (s fakeStanza) attr(name string) string { return attr(s.start, name) }

func newFakeServer() *fakeServer {
	return &fakeServer{links: make(chan *fakeLink, 64)}
}

func (f *fakeServer) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if f.away != nil {
		select {
		case <-f.away:
		default:
			return nil, errors.New("connection refused")
		}
	}
	mine, theirs := net.Pipe()
	if f.wrap != nil {
		mine = f.wrap(mine)
	}
	l := &fakeLink{conn: mine, got: make(chan fakeStanza, 1<<16)}
	go l.serve(f)
	return theirs, nil
}

func (l *fakeLink) serve(f *fakeServer) {
	defer close(l.got)
	defer l.conn.Close()
	l.tail = "cut"
	d := xml.NewDecoder(l.conn)
	root, err := nextStart(d)
	if err != nil {
		return
	}
	l.write(fmt.Sprintf(`<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='%s' id='s1'>`, attr(root, "to")))
	hand, err := nextStart(d)
	if err != nil {
		return
	}
	var digest string
	if err := d.DecodeElement(&digest, &hand); err != nil {
		return
	}
	refuse := f.refuse
	if digest != fmt.Sprintf("%x", sha1.Sum([]byte("s1"+fakeSecret))) {
		refuse = `<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>handshake does not match the secret</text>`
	}
	if refuse != "" {
		l.write("<stream:error>" + refuse + "</stream:error></stream:stream>")
		return
	}
	l.write("<handshake/>" + f.greet)
	f.links <- l
	l.read(d)
}

func (l *fakeLink) read(d *xml.Decoder) {
	for {
		start, err := nextStart(d)
		if err == io.EOF {
			l.tail = "close"
			l.write("</stream:stream>")
			return
		}
		if err != nil {
			return
		}
		var in struct {
			Inner string `xml:",innerxml"`
		}
		if d.DecodeElement(&in, &start) != nil {
			return
		}
		l.got <- fakeStanza{start: start, inner: in.Inner}
	}
}

// nextStart gives the next start tag, io.EOF at the end of the stream element.
func nextStart(d *xml.Decoder) (xml.StartElement, error) {
	for {
		tok, err := d.Token()
		if err != nil {
			return xml.StartElement{}, errors.Join(errors.New("cut"), err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			return t, nil
		case xml.EndElement:
			return xml.StartElement{}, io.EOF
		}
	}
}

func (l *fakeLink) write(raw string) { io.WriteString(l.conn, raw) }

// next gives the next stanza of the node.
func (l *fakeLink) next(t *testing.T) fakeStanza {
	t.Helper()
	select {
	case s, ok := <-l.got:
		if !ok {
			t.Fatalf("the node's stream ended: %s", l.tail)
		}
		return s
	case <-time.After(time.Hour): // of the bubble's clock
		t.Fatal("no stanza came")
	}
	return fakeStanza{}
}

// accept answers an iq of the node with a result.
func (l *fakeLink) accept(s fakeStanza, inner string) {
	l.write(fmt.Sprintf(`<iq type='result' id='%s' from='%s' to='%s'>%s</iq>`, s.attr("id"), s.attr("to"), s.attr("from"), inner))
}

// reject answers an iq of the node with an error.
func (l *fakeLink) reject(s fakeStanza, condition, more string) {
	l.write(fmt.Sprintf(`<iq type='error' id='%s' from='%s' to='%s'><error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`+
		`<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>because</text>%s</error></iq>`,
		s.attr("id"), s.attr("to"), s.attr("from"), condition, more))
}

// config gives a node's configuration against this server.
func (f *fakeServer) config() Config {
	return Config{
		Addrs:       []string{"hub1:5347"},
		Domain:      "node1.im.example",
		Secret:      fakeSecret,
		Users:       []string{"im.example"},
		DialContext: f.dial,
	}
}

// attached dials and gives both ends. The node is closed and has ended when the test ends: a synctest bubble does
// not end while one of its goroutines lives, so each test is a test for leaks too.
func (f *fakeServer) attached(t *testing.T, cfg Config) (*Node, *fakeLink) {
	t.Helper()
	n, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		<-n.Done()
	})
	return n, <-f.links
}

var (
	alice = jid.MustParse("alice@im.example/phone")
	bob   = jid.MustParse("bob@im.example/web")
	erin  = jid.MustParse("erin@im.example/phone")
)

// contains fails unless s holds each of the parts.
func contains(t *testing.T, s string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(s, p) {
			t.Errorf("%q lacks %q", s, p)
		}
	}
}
