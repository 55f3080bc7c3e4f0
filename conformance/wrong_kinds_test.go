package conformance_test

import (
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// wrong is what a small server does otherwise than it should. The zero value is right.
type wrong struct {
	in       func(b []byte) []byte                     // what it makes of what arrives
	out      func(l *link, k kind, text string) string // what it makes of what it sends; called with mu of the link held
	spares   reason                                    // what it does not mind
	mutes    reason                                    // what it gives no answer to, though it minds
	says     map[reason]string                         // what it answers instead
	proof    func(got, want string) bool               // which handshakes it takes besides the right one
	parse    func(text string) (a address, ok bool)    // how it reads addresses
	most     limits                                    // what it takes, if not the usual
	ids      func() string                             // makes the ids of streams
	ignorant string                                    // the namespace that it does not answer, though it should

	stress bool // only heavy cases see it
	soft   bool // the cases permit it, though it is worse

	bareErrors     bool // it sends stream errors without a header
	echoID         bool // it takes the stream id that the peer offers
	keepsDead      bool // it takes each link for alive
	noFarewell     bool // it does not answer a closing tag
	stays          bool // it leaves the connection open
	keepsIDs       bool // it takes stanza ids in its own name
	answersErrors  bool
	answersResults bool
}

// limits are bounds of what a server takes; 0 is the usual.
type limits struct{ bytes, depth, attrs int }

// kind is what a server sends.
type kind byte

const (
	ofHeader kind = iota
	ofHandshake
	ofError  // of the stream
	ofEnd    // of the stream
	ofStanza // of another component
	ofAnswer // of the server itself: a result, or an error
	ofPing   // of the server itself
	ofStash  // what a wrong has held back
)

// reason is why a stream ends, or a stanza comes back.
type reason string

// Why a stream ends.
const (
	tooSlow         reason = "too slow"
	tooLong         reason = "too long"
	tooDeep         reason = "too deep"
	tooManyAttrs    reason = "too many attributes"
	notWellFormed   reason = "not well-formed"
	restricted      reason = "restricted"
	notUTF8         reason = "not UTF-8"
	otherXML        reason = "another version of XML"
	otherEncoding   reason = "another encoding"
	otherPrefix     reason = "another prefix for the stream"
	wrongRoot       reason = "another root"
	wrongRootSpace  reason = "another namespace of the root"
	wrongContent    reason = "another content namespace"
	noName          reason = "no name"
	ownName         reason = "the server's own name"
	unknownName     reason = "an unknown name"
	secondHeader    reason = "a second header"
	wrongProof      reason = "a wrong proof"
	oddHandshake    reason = "a handshake with more than text"
	secondHandshake reason = "a second handshake"
	tooEarly        reason = "a stanza before the handshake"
	strayText       reason = "text between stanzas"
	whitespace      reason = "white space between stanzas"
	unknownElement  reason = "no stanza"
	forgedFrom      reason = "the name of another"
	theirError      reason = "a stream error of the peer"
	nameTaken       reason = "a name that another link has"
	replaced        reason = "replaced by a new link"
)

// Why a stanza comes back.
const (
	noTo         reason = "no to"
	badTo        reason = "to is no address"
	noID         reason = "an iq without id"
	badType      reason = "no type of an iq"
	noChild      reason = "a get or set without child"
	manyChildren reason = "a get or set with two children"
	manyResults  reason = "a result with two children"
	noError      reason = "an error without error"
	unasked      reason = "an answer that nobody waits for"
	badAnswer    reason = "an answer that cannot be brought"
	notServed    reason = "not served here"
	noSuchHost   reason = "an unknown domain"
	away         reason = "not attached"
	crowded      reason = "its queue is full"
	linkLost     reason = "its link ended before it answered"
)

// conditions are the right ones: of a stream error by name, of a stanza error behind its type. What stands not here is
// no fault.
var conditions = map[reason]string{
	tooSlow: "connection-timeout", tooLong: "policy-violation", tooDeep: "policy-violation", tooManyAttrs: "policy-violation",
	notWellFormed: "not-well-formed", restricted: "restricted-xml", notUTF8: "not-well-formed", otherXML: "unsupported-version",
	otherEncoding: "unsupported-encoding", wrongRoot: "bad-format", wrongRootSpace: "invalid-namespace", wrongContent: "invalid-namespace",
	noName: "improper-addressing", ownName: "conflict", unknownName: "host-unknown", secondHeader: "policy-violation",
	wrongProof: "not-authorized", oddHandshake: "not-authorized", secondHandshake: "policy-violation", tooEarly: "not-authorized",
	strayText: "bad-format", unknownElement: "unsupported-stanza-type", forgedFrom: "invalid-from", nameTaken: "conflict", replaced: "conflict",

	noTo: "modify/bad-request", badTo: "modify/jid-malformed", noID: "modify/bad-request", badType: "modify/bad-request",
	noChild: "modify/bad-request", manyChildren: "modify/bad-request", manyResults: "modify/bad-request", noError: "modify/bad-request",
	unasked: "cancel/item-not-found", badAnswer: "cancel/undefined-condition", notServed: "cancel/service-unavailable", noSuchHost: "cancel/remote-server-not-found", away: "wait/remote-server-timeout",
	crowded: "wait/resource-constraint", linkLost: "wait/remote-server-timeout",
}

// condition gives what is said for a reason, "" for nothing, and whether it is minded at all.
func (w *wrong) condition(why reason) (condition string, minds bool) {
	switch says, other := w.says[why]; {
	case w.spares == why:
		return "", false
	case w.mutes == why:
		return "", true
	case other:
		return says, true
	}
	condition, minds = conditions[why]
	return condition, minds
}

func (w *wrong) limits() limits {
	l := w.most
	for _, d := range []struct {
		at    *int
		usual int
	}{{&l.bytes, mostBytes}, {&l.depth, mostDepth}, {&l.attrs, mostAttrs}} {
		if *d.at == 0 {
			*d.at = d.usual
		}
	}
	return l
}

func (w *wrong) arrives(b []byte) []byte {
	if w.in == nil {
		return b
	}
	return w.in(b)
}

func (w *wrong) leaves(l *link, k kind, text string) string {
	if w.out == nil {
		return text
	}
	return w.out(l, k, text)
}

// address is what a server needs of one (RFC 7622).
type address struct {
	domain string
	user   bool // it has a localpart
}

func (w *wrong) address(text string) (address, bool) {
	if w.parse != nil {
		return w.parse(text)
	}
	return parseAddress(text)
}

func parseAddress(text string) (address, bool) {
	j, err := jid.Parse(text)
	if err != nil {
		return address{}, false
	}
	return address{strings.ToLower(j.Domainpart()), j.Localpart() != ""}, true
}

// render writes an element for a stream of jabber:component:accept: what was in the namespace of its own stream is in
// this one's (RFC 6120 4.8.3).
func render(e *wire.Element) string {
	var b strings.Builder
	writeElement(&b, e, rebase{e.Name.Space, spaceAccept}, spaceAccept)
	return b.String()
}

// rebase is a namespace and what it becomes.
type rebase struct{ from, to string }

func writeElement(b *strings.Builder, e *wire.Element, r rebase, scope string) {
	space := e.Name.Space
	if space == r.from {
		space = r.to
	}
	b.WriteString("<" + e.Name.Local)
	if space != scope {
		b.WriteString(" xmlns='" + escapeAttr(space) + "'")
	}
	for i, a := range e.Attrs {
		name := a.Name.Local
		switch a.Name.Space {
		case "":
		case spaceXML:
			name = "xml:" + name
		default:
			prefix := "a" + strconv.Itoa(i)
			b.WriteString(" xmlns:" + prefix + "='" + escapeAttr(a.Name.Space) + "'")
			name = prefix + ":" + name
		}
		b.WriteString(" " + name + "='" + escapeAttr(a.Value) + "'")
	}
	if len(e.Children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	for _, c := range e.Children {
		if c.Element != nil {
			writeElement(b, c.Element, r, space)
		} else {
			b.WriteString(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;").Replace(c.Text))
		}
	}
	b.WriteString("</" + e.Name.Local + ">")
}

// escapeAttr writes a value so that it may stand in single quotes.
func escapeAttr(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;", "\t", "&#9;", "\n", "&#10;", "\r", "&#13;").Replace(s)
}
