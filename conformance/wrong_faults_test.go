package conformance_test

import (
	"bytes"
	"regexp"
	"strings"
)

// fault is one way to be wrong. A case of its rule must fail because of it.
type fault struct {
	rule, what string
	wrong      wrong
}

// streamFaults are in how a stream begins, is proved and ends (sections A, B and C of the catalogue).
var streamFaults = []fault{
	{"A01", "sends no header of its own", wrong{out: cut(ofHeader, `(?s).*`)}},
	{"A02", "is the server in its header, not the component", wrong{out: alter(ofHeader, `from='[^']*'`, "from='probe.test'")}},
	{"A02", "sends a header without id", wrong{out: cut(ofHeader, ` id='[^']*'`)}},
	{"A02", "sends a header without from", wrong{out: cut(ofHeader, ` from='[^']*'`)}},
	{"A03", "takes a name that it does not serve", wrong{spares: unknownName}},
	{"A03", "refuses an unknown name as if the server had failed", wrong{says: map[reason]string{unknownName: "internal-server-error"}}},
	{"A03", "does not mind a header that names nobody", wrong{mutes: noName}},
	{"A03", "leaves the peer waiting whose name it does not serve", wrong{mutes: unknownName}},
	{"A04", "takes any content namespace", wrong{spares: wrongContent}},
	{"A04", "says of another content namespace that the XML is bad", wrong{says: map[reason]string{wrongContent: "invalid-xml"}}},
	{"A05", "takes a root of any namespace", wrong{spares: wrongRootSpace}},
	{"A06", "sends an error without a header before it", wrong{bareErrors: true}},
	{"A07", "says that it is the name it does not serve", wrong{out: alter(ofHeader, `from='probe.test'`, "from='nowhere.invalid'")}},
	{"A08", "gives the same id to all streams", wrong{ids: func() string { return strings.Repeat("0", 32) }}},
	{"A08", "gives ids that can be guessed", wrong{ids: shortID()}},
	{"A09", "takes the id that the peer offers", wrong{echoID: true}},
	{"A11", "sends features that nobody has asked for", wrong{out: behind(ofHeader, "<stream:features/>")}},
	{"A15", "does not answer who has another prefix for the stream", wrong{mutes: otherPrefix}},
	{"A16", "takes a stream that says it is not UTF-8", wrong{in: tokens(` encoding='[^']*'`, "")}},
	{"A16", "refuses an XML declaration", wrong{in: tokens(`^<\?xml[^>]*>`, "<!-- -->")}},
	{"A17", "begins with a byte order mark", wrong{out: before(ofHeader, "\ufeff")}},
	{"A16", "mends what is not UTF-8", wrong{in: func(b []byte) []byte { return bytes.ToValidUTF8(b, []byte("\ufffd")) }}},
	{"A18", "takes XML 2.0", wrong{in: tokens(`<\?xml version='2.0'`, "<?xml version='1.0'")}},
	{"A19", "takes any amount of bytes before the handshake", wrong{most: limits{bytes: 64 << 20}}},
	{"A20", "does not answer a second header", wrong{spares: secondHeader}},
	{"B01", "takes no right proof", wrong{says: map[reason]string{}, out: alter(ofHandshake, `.*`, "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")}},
	{"B01", "sends a handshake with text", wrong{out: alter(ofHandshake, `.*`, "<handshake>ok</handshake>")}},
	{"B02", "takes a wrong proof", wrong{spares: wrongProof}},
	{"B02", "goes on after a wrong proof", wrong{mutes: wrongProof}},
	{"B03", "takes upper-case digests", wrong{proof: strings.EqualFold}},
	{"B04", "takes stanzas before the handshake", wrong{spares: tooEarly}},
	{"B04", "does not answer stanzas before the handshake", wrong{mutes: tooEarly}},
	{"B05", "takes white space around a proof", wrong{proof: func(got, want string) bool { return strings.TrimSpace(got) == want }}},
	{"B05", "takes attributes and elements in a handshake", wrong{spares: oddHandshake}},
	{"B06", "takes a second handshake", wrong{spares: secondHandshake}},
	{"B02", "takes an empty handshake", wrong{proof: func(got, _ string) bool { return got == "" }}},
	{"B02", "takes a proof that begins right", wrong{proof: strings.HasPrefix}},
	{"B07", "lets a peer try again", wrong{mutes: wrongProof}},
	{"B08", "gives a name that is in use to whoever comes", wrong{spares: nameTaken}},
	{"B08", "says of a name in use that the peer forges", wrong{says: map[reason]string{nameTaken: "invalid-from"}}},
	{"B09", "keeps a name for a link that is dead", wrong{keepsDead: true}},
	{"B10", "lends its own name", wrong{spares: ownName}},
	{"C01", "does not answer a closing tag", wrong{noFarewell: true}},
	{"C01", "answers a closing tag and keeps the connection", wrong{stays: true}},
	{"C02", "sends a stanza behind its closing tag", wrong{out: behind(ofEnd, "<message/>")}},
	{"C03", "passes over what is not well-formed", wrong{in: tokens(`<a></b>`, "")}},
	{"C04", "sends no closing tag behind an error", wrong{out: cut(ofEnd, `.*`)}},
	{"C04", "keeps the connection after an error", wrong{stays: true}},
	{"C05", "sends two conditions in a stream error", wrong{out: alter(ofError, `(</stream:error>)`, "<reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>$1")}},
	{"C05", "sends a condition that is none", wrong{out: alter(ofError, `<[a-z-]+ xmlns`, "<xml-not-well-formed xmlns")}},
	{"C05", "sends a condition in another namespace", wrong{out: alter(ofError, `xmpp-streams`, "xmpp-stanzas")}},
	{"C06", "answers a stream error with one", wrong{says: map[reason]string{theirError: "undefined-condition"}}},
	{"C07", "says of what is not well-formed that it is an error of its own", wrong{says: map[reason]string{notWellFormed: "internal-server-error"}}},
	{"C07", "does not answer what is not well-formed", wrong{mutes: notWellFormed}},
	{"C08", "passes over comments", wrong{in: tokens(`(?s)<!--.*?-->`, "")}},
	{"C08", "passes over processing instructions", wrong{in: tokens(`(?s)<\?[^x].*?\?>`, "")}},
	{"C08", "takes entities of HTML", wrong{in: tokens(`&b;`, "x")}},
	{"C08", "does not answer what is restricted", wrong{mutes: restricted}},
	{"C09", "forwards elements that are no stanzas", wrong{spares: unknownElement}},
	{"C10", "takes stanzas of any size", wrong{most: limits{bytes: 64 << 20}, stress: true}},
	{"C10", "says of a long stanza that it is not well-formed", wrong{says: map[reason]string{tooLong: "not-well-formed"}, stress: true}},
	{"C11", "takes no stanza of 10 000 bytes", wrong{most: limits{bytes: 8000}}},
	{"C12", "takes the name of another", wrong{spares: forgedFrom}},
	{"C12", "passes over stanzas in the name of another", wrong{mutes: forgedFrom}},
	{"C15", "says to a link that it was replaced in other words", wrong{says: map[reason]string{replaced: "not-authorized"}}},
	{"C18", "passes over text between stanzas", wrong{spares: strayText}},
	{"C18", "refuses white space between stanzas", wrong{says: map[reason]string{whitespace: "bad-format"}}},
	{"C19", "writes line feeds in attributes as they are", wrong{out: alter(ofStanza, `&#10;`, "\n")}},
	{"C19", "writes tabs in attributes as they are", wrong{out: alter(ofStanza, `&#9;`, "\t")}},
	{"C19", "writes carriage returns as they are", wrong{out: alter(ofStanza, `&#13;`, "\r")}},
	{"C19", "resolves references twice", wrong{out: alter(ofStanza, `&amp;`, "&")}},
	{"C20", "takes elements of any depth", wrong{most: limits{depth: 1 << 30}}},
	{"C20", "says of many attributes that they are not well-formed", wrong{says: map[reason]string{tooManyAttrs: "not-well-formed"}}},
	{"C20", "loses an attribute of many", wrong{most: limits{attrs: 1 << 20}, out: alter(ofStanza, ` a1000=['"]1['"]`, "")}},
	{"C21", "does not answer pings", wrong{out: cut(ofAnswer, `^<iq type='result'.*$`)}},
}

// alter replaces what matches in what is sent of one kind.
func alter(of kind, like, by string) func(*link, kind, string) string {
	pattern := regexp.MustCompile(like)
	return func(_ *link, k kind, text string) string {
		if k != of {
			return text
		}
		return pattern.ReplaceAllString(text, by)
	}
}

// cut takes out what matches.
func cut(of kind, like string) func(*link, kind, string) string { return alter(of, like, "") }

// behind adds to what is sent of one kind.
func behind(of kind, more string) func(*link, kind, string) string {
	return alter(of, `(?s)^(.+)$`, "${1}"+more)
}

// before puts something before it.
func before(of kind, more string) func(*link, kind, string) string { return alter(of, `^`, more) }

// tokens replaces what matches in what arrives, where it arrives at once.
func tokens(like, by string) func([]byte) []byte {
	pattern := regexp.MustCompile(like)
	return func(b []byte) []byte { return pattern.ReplaceAll(b, []byte(by)) }
}
