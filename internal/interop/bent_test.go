package interop

import (
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
	strict "github.com/patchbay-im/patchbay/conformance/wire"
)

// bent stands between the conformance suite and a server, and bends what they say to each other, so that the server
// seems to break a rule that it keeps.
//
//	suite ──► up, by what a read brought ──► server
//	      ◄── down, one element after the other ◄──
type bent struct {
	// set once
	ln     net.Listener
	target string
	from   net.Dialer // an address of its own: a server lets an address wait that has failed to prove its secret
	bend   *bend
	over   sync.WaitGroup

	// guarded by mu
	mu    sync.Mutex
	conns map[net.Conn]bool // the open ones
}

// bend is one rule, and how it is made to seem broken. A case of the rule must fail because of it.
type bend struct {
	profile    conformance.Profile
	rule, what string
	up         func(c *carried, text string) string
	down       func(c *carried, k kind, text string) string
	stays      bool // the connection to the suite is left open for a while
}

// components is how many the suite attaches before its first case, to see whether it can. So many connections are carried
// as they are.
const components = 3

// kind is what a server says.
type kind byte

const (
	aHeader kind = iota
	aHandshake
	aStreamError
	aStanza
	aSpace // between two elements
	anEnd
)

// carried is one connection, and what a bend remembers of it.
type carried struct {
	suite, server net.Conn
	bend          *bend

	// owned by down
	count int
	stash string
}

// newBent listens on loopback until stop. The server sees it come from 127.0.0.host.
func newBent(target string, host byte, b *bend) (*bent, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &bent{ln: ln, target: target, bend: b, conns: map[net.Conn]bool{}}
	p.from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, host)}
	p.over.Go(p.accept)
	return p, nil
}

func (p *bent) addr() string { return p.ln.Addr().String() }

func (p *bent) stop() {
	_ = p.ln.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.over.Wait()
}

func (p *bent) accept() {
	for came := 1; ; came++ {
		suite, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := p.from.Dial("tcp", p.target)
		if err != nil {
			_ = suite.Close()
			continue
		}
		c := &carried{suite: suite, server: server, bend: p.bend}
		if came <= components {
			c.bend = &bend{}
		}
		p.mu.Lock()
		p.conns[suite], p.conns[server] = true, true
		p.mu.Unlock()
		p.over.Go(func() { p.carry(c) })
	}
}

// carry carries one connection to its end. What the suite still says behind that is read, for a while: it must not make a reset
// of the end.
func (p *bent) carry(c *carried) {
	var up sync.WaitGroup
	up.Go(c.up)
	c.down()
	most := time.Second
	if c.bend.stays {
		most = staysOpen
	} else {
		_ = c.suite.(*net.TCPConn).CloseWrite()
	}
	_ = c.suite.SetReadDeadline(time.Now().Add(most))
	up.Wait()
	_, _ = c.suite.Close(), c.server.Close()
	p.mu.Lock()
	delete(p.conns, c.suite)
	delete(p.conns, c.server)
	p.mu.Unlock()
}

// staysOpen is longer than any case waits for the end of a connection.
const staysOpen = 20 * time.Second

// up carries what the suite says.
func (c *carried) up() {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.suite.Read(buf)
		text := string(buf[:n])
		if c.bend.up != nil {
			text = c.bend.up(c, text)
		}
		_, _ = io.WriteString(c.server, text) // that the server has gone is for down
		if err != nil {
			_ = c.server.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// down carries what the server says.
func (c *carried) down() {
	reader := strict.NewReader(64 << 20)
	buf := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buf)
		reader.Feed(buf[:n])
		ended := c.events(reader)
		if errors.Is(ended, errRestart) {
			reader = strict.NewReader(64 << 20) // nothing stands behind <success/> before the peer's next header
			continue
		}
		if ended != nil || err != nil {
			return
		}
	}
}

// errRestart says that the stream begins anew (RFC 6120 6.4.6).
var errRestart = errors.New("the stream begins anew")

// events hands on all that has come whole.
func (c *carried) events(reader *strict.Reader) error {
	for {
		ev, err := reader.Next()
		if errors.Is(err, strict.ErrMore) {
			return nil
		}
		if err != nil {
			return err
		}
		text := string(ev.Raw)
		if c.bend.down != nil {
			text = c.bend.down(c, kindOf(ev), text)
		}
		if _, err := io.WriteString(c.suite, text); err != nil {
			return err
		}
		if e := ev.Element; e != nil && e.Name == (strict.Name{Space: "urn:ietf:params:xml:ns:xmpp-sasl", Local: "success"}) {
			return errRestart
		}
	}
}

func kindOf(ev strict.Event) kind {
	switch {
	case ev.Kind == strict.Header:
		return aHeader
	case ev.Kind == strict.End:
		return anEnd
	case ev.Kind == strict.Text:
		return aSpace
	case ev.Element.Name.Local == "handshake":
		return aHandshake
	case ev.Element.Name == strict.Name{Space: "http://etherx.jabber.org/streams", Local: "error"}:
		return aStreamError
	}
	return aStanza
}

// alter replaces what matches in what is said of one kind.
func alter(of kind, like, by string) func(*carried, kind, string) string {
	pattern := regexp.MustCompile(like)
	return func(_ *carried, k kind, text string) string {
		if k != of {
			return text
		}
		return pattern.ReplaceAllString(text, by)
	}
}

// alterUp replaces what matches in what the suite says, where it comes at once.
func alterUp(like, by string) func(*carried, string) string {
	pattern := regexp.MustCompile(like)
	return func(_ *carried, text string) string { return pattern.ReplaceAllString(text, by) }
}

// nth does something to one of n messages.
func nth(n int, do func(text string) string) func(*carried, kind, string) string {
	message := regexp.MustCompile(`^<message[^>]* id=['"]m`) // of a case, not of the suite
	return func(c *carried, k kind, text string) string {
		if k != aStanza || !message.MatchString(text) {
			return text
		}
		c.count++
		if c.count%n == 0 {
			return do(text)
		}
		return text
	}
}

// reorder sends a message of a case behind the next one, if that follows soon enough to be read with it.
func reorder(c *carried, k kind, text string) string {
	if k != aStanza || !strings.HasPrefix(text, "<message") {
		return text
	}
	if c.stash == "" && c.count%2 == 0 && strings.Contains(text, "id='m") {
		c.count++
		c.stash = text
		return ""
	}
	c.count++
	text += c.stash
	c.stash = ""
	return text
}

var (
	resources = regexp.MustCompile(` to='[^'/]*/[^']*'`)
	proofs    = regexp.MustCompile(`<handshake>[0-9A-F]*</handshake>`)
)

// swapped has errors come from whom they are for.
func swapped(_ *carried, k kind, text string) string {
	if k != aStanza || !strings.Contains(text, "<error ") {
		return text
	}
	return strings.NewReplacer(" from=", " to=", " to=", " from=").Replace(text)
}

// lowerResource folds the case of receivers.
func lowerResource(_ *carried, k kind, text string) string {
	if k != aStanza {
		return text
	}
	return resources.ReplaceAllStringFunc(text, strings.ToLower)
}

// lowerProof folds the case of proofs.
func lowerProof(_ *carried, text string) string {
	return proofs.ReplaceAllStringFunc(text, strings.ToLower)
}

// TestBent sees that a bend reaches what it is for: each kind of what a server says.
func TestBent(t *testing.T) {
	const says = "<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:component:accept'>" +
		"<handshake/> <message id='m1'/><s:error/></s:stream>"
	var kinds []kind
	c := &carried{bend: &bend{down: func(_ *carried, k kind, text string) string {
		kinds = append(kinds, k)
		return text
	}}}
	suite, other := net.Pipe()
	c.suite = suite
	var heard []byte
	var reads sync.WaitGroup
	reads.Go(func() { heard, _ = io.ReadAll(other) })
	reader := strict.NewReader(1000)
	reader.Feed([]byte(says))
	if err := c.events(reader); err != nil {
		t.Error(err)
	}
	_ = suite.Close()
	reads.Wait()
	if string(heard) != says {
		t.Errorf("carried %s", heard)
	}
	want := []kind{aHeader, aHandshake, aSpace, aStanza, aStreamError, anEnd}
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
}
