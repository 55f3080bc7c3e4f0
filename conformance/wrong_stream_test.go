package conformance_test

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

const (
	spaceAccept = "jabber:component:accept"
	spaceStream = "http://etherx.jabber.org/streams"
	spaceXML    = "http://www.w3.org/XML/1998/namespace"
)

var defaultSpace = regexp.MustCompile(`\sxmlns\s*=\s*(?:'([^']*)'|"([^"]*)")`)

// open answers the peer's stream header (XEP-0114 3).
func (l *link) open(e *wire.Element) {
	to, named := e.Attr("to")
	l.lang, _ = e.Get(wire.Name{Space: spaceXML, Local: "lang"})
	l.name = to
	if a, ok := l.s.now.Load().address(to); ok && !a.user {
		l.name = a.domain
	}
	content := ""
	if m := defaultSpace.FindSubmatch(e.Raw); m != nil {
		content = string(m[1]) + string(m[2])
	}
	_, known := l.s.nodes[l.name]
	prefix, _, _ := strings.Cut(nameOf(e.Raw), ":")
	for _, check := range []struct {
		why   reason
		holds bool
	}{
		{wrongRoot, e.Name.Local == "stream"},
		{wrongRootSpace, e.Name.Space == spaceStream},
		{wrongContent, content == spaceAccept},
		{otherPrefix, prefix == "stream"},
		{noName, named && to != ""},
		{ownName, l.name != l.s.domain},
		{unknownName, known || l.name == l.s.domain},
	} {
		if !check.holds && !l.refuse(check.why) {
			return
		}
	}
	if offered, ok := e.Attr("id"); ok && l.s.now.Load().echoID {
		l.id = offered
	}
	l.head(l.name)
}

// head sends our stream header.
func (l *link) head(from string) {
	l.headed = true
	switch {
	case l.id != "":
	case l.s.now.Load().ids != nil:
		l.id = l.s.now.Load().ids()
	default:
		l.id = newID()
	}
	l.say(ofHeader, "<?xml version='1.0'?><stream:stream xmlns='"+spaceAccept+"' xmlns:stream='"+spaceStream+"' from='"+
		escapeAttr(from)+"' id='"+l.id+"'>")
}

// element takes one element of the stream.
func (l *link) element(e *wire.Element) {
	l.mu.Lock()
	proved := l.proved
	l.mu.Unlock()
	switch name := e.Name; {
	case name == wire.Name{Space: spaceStream, Local: "error"}: // RFC 6120 4.9.1.4: not answered with one
		if l.refuse(theirError) {
			l.end()
		}
	case name == wire.Name{Space: spaceAccept, Local: "handshake"}:
		l.handshake(e, proved)
	case !proved && !l.refuse(tooEarly):
	case stanza(name) || l.refuse(unknownElement):
		l.s.route(l, e)
	}
}

// stanza reports whether an element is one (RFC 6120 8). Libraries that write jabber:client mean the stream's own.
func stanza(n wire.Name) bool {
	return (n.Space == spaceAccept || n.Space == "jabber:client") && (n.Local == "message" || n.Local == "presence" || n.Local == "iq")
}

// handshake takes the peer's proof (XEP-0114 3).
func (l *link) handshake(e *wire.Element, proved bool) {
	sum := sha1.Sum([]byte(l.id + l.s.nodes[l.name]))
	want := hex.EncodeToString(sum[:])
	right := e.Text() == want || l.s.now.Load().proof != nil && l.s.now.Load().proof(e.Text(), want)
	switch plain := len(e.Attrs) == 0 && len(e.Elements()) == 0; {
	case proved && !l.refuse(secondHandshake):
	case !right && !l.refuse(wrongProof):
	case !plain && !l.refuse(oddHandshake):
	default:
		l.until(0)
		l.s.attach(l)
	}
}

// attach gives the domain to a link. Who has it already keeps it if it is alive, and else loses it (RFC 6120 4.9.3.3).
func (s *small) attach(l *link) {
	s.mu.Lock()
	old := s.links[l.name]
	s.mu.Unlock()
	if old != nil && old != l && (old.alive() || s.now.Load().keepsDead) && !l.refuse(nameTaken) {
		return
	}
	l.put(ofHandshake, "<handshake/>") // before the first stanza of others, who find the link only afterwards
	l.mu.Lock()
	l.proved = true
	l.mu.Unlock()
	s.mu.Lock()
	s.links[l.name] = l
	s.mu.Unlock()
	l.stir()
	if old != nil && old != l {
		old.refuse(replaced)
	}
}

// aliveID is the id of a ping of the server's own.
const aliveID = "small-alive"

// alive asks a link whether it still is.
func (l *link) alive() bool {
	l.say(ofPing, "<iq type='get' id='"+aliveID+"' from='"+l.s.domain+"' to='"+escapeAttr(l.name)+"'><ping xmlns='urn:xmpp:ping'/></iq>")
	select {
	case <-l.live:
		return true
	case <-l.done:
	case <-time.After(liveWait):
	}
	return false
}

// detach takes the domain from a link, and answers what it was asked and will not answer.
func (s *small) detach(l *link) {
	var open []ask
	var asks []*wire.Element
	s.mu.Lock()
	if s.links[l.name] == l {
		delete(s.links, l.name)
	}
	for a, e := range s.asked {
		if a.of == l {
			delete(s.asked, a)
			open, asks = append(open, a), append(asks, e)
		}
	}
	s.mu.Unlock()
	for i := range open {
		s.bounce(asks[i], linkLost)
	}
}

// newID is a stream id of 128 bits (RFC 6120 4.7.3).
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
