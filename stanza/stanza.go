package stanza

// Namespaces that the router itself must know.
const (
	NSComponent = "jabber:component:accept"              // XEP-0114, the content namespace of node links
	NSClient    = "jabber:client"                        // RFC 6120 4.8.2
	NSServer    = "jabber:server"                        // RFC 6120 4.8.2
	NSStream    = "http://etherx.jabber.org/streams"     // RFC 6120 4.8.1
	NSStreams   = "urn:ietf:params:xml:ns:xmpp-streams"  // stream error conditions, RFC 6120 4.9.2
	NSStanzas   = "urn:ietf:params:xml:ns:xmpp-stanzas"  // stanza error conditions, RFC 6120 8.3.2
	NSXML       = "http://www.w3.org/XML/1998/namespace" // the prefix xml
	NSXMLNS     = "http://www.w3.org/2000/xmlns/"        // the prefix xmlns
	NSAddress   = "http://jabber.org/protocol/address"   // XEP-0033
	NSSessions  = "urn:patchbay:sessions:1"              // announce, withdraw, sync
	NSOffline   = "urn:patchbay:offline:1"               // marks an error as "treat it as an offline message"
	NSModern    = "urn:patchbay:component:1"             // its attribute modern on a stream root asks for a modern stream
	NSTLS       = "urn:ietf:params:xml:ns:xmpp-tls"      // STARTTLS, RFC 6120 5
	NSSASL      = "urn:ietf:params:xml:ns:xmpp-sasl"     // RFC 6120 6
	NSSM        = "urn:xmpp:sm:3"                        // stream management, XEP-0198
)

// Kind is the kind of a top-level element.
type Kind uint8

const (
	Other    Kind = iota // not a stanza: handshake, stream:error, ...
	Message              // RFC 6120 8.2.1
	Presence             // RFC 6120 8.2.2
	IQ                   // RFC 6120 8.2.3
)

// String gives the element's name: "message", "presence", "iq" or "other".
func (k Kind) String() string { return [...]string{"other", "message", "presence", "iq"}[k] }

// Type is the value of a stanza's type attribute, for all kinds of stanza in one list.
// A message or iq without the attribute, or with a value that its kind does not know, is
// TypeUnknown or TypeNone; see Header.Type.
type Type uint8

const (
	TypeNone    Type = iota // no type attribute: a normal message, an available presence
	TypeUnknown             // a value the RFC does not list for this kind
	TypeError               // all kinds
	TypeNormal
	TypeChat
	TypeGroupchat
	TypeHeadline
	TypeGet
	TypeSet
	TypeResult
	TypeUnavailable
	TypeProbe
	TypeSubscribe
	TypeSubscribed
	TypeUnsubscribe
	TypeUnsubscribed
)

// Span is the half-open range [Lo, Hi) of a Header's Raw.
type Span struct{ Lo, Hi int32 }

// Len is the number of bytes in the span.
func (s Span) Len() int { return int(s.Hi - s.Lo) }

// Attr is one attribute of the top-level start tag. The zero Attr is an absent one: its Outer is empty.
type Attr struct {
	Outer   Span // from the white space before the name to the closing quote: what must be cut to remove it
	Value   Span // between the quotes, as written
	Escaped bool // the value holds a reference, or white space that XML 1.0 3.3.3 normalises: compare with EqualAttr
}

// Set reports whether the attribute is present.
func (a Attr) Set() bool { return a.Outer.Hi > a.Outer.Lo }

// Flags tell what forwarding a stanza needs besides copying its bytes.
type Flags uint16

const (
	// FlagXMLNS: the top-level element carries an explicit xmlns (Header.XMLNS), equal to the link's content
	// namespace or to jabber:client. It is cut when the stanza goes on (mellium-based nodes write it always).
	FlagXMLNS Flags = 1 << iota
	// FlagNestedNS: an element below the top, in the stanza's own content (not under a child of another
	// namespace), names the link's content namespace or jabber:client explicitly.
	FlagNestedNS
	// FlagRootPrefix: a prefix is used that only the stream header declares (Header.RootPrefixes).
	FlagRootPrefix
	// FlagError: a child element "error" in the content namespace.
	FlagError
	// FlagAddresses: a child element "addresses" of XEP-0033.
	FlagAddresses
)

// Header is what the router needs to know of one top-level element. Raw is borrowed from the buffer that was
// given to Scanner.Next and ends when that buffer is reused; all spans are relative to Raw.
type Header struct {
	Raw   []byte
	Kind  Kind
	Type  Type
	Flags Flags

	Name    Span  // the qualified name of the top-level element
	NameEnd int32 // offset just behind the name in the start tag: where attributes can be injected

	To, From, ID, TypeAttr Attr
	XMLNS                  Attr // the default namespace declaration, if any
	Lang                   Attr // xml:lang

	Children     int32  // child elements
	Child        Span   // the first child's whole start tag, '<' to '>', empty if there is none
	RootPrefixes uint32 // bit i: StreamHeader.Prefixes[i] is used and not declared within the element

	content string // the content namespace of the stream, with FlagNestedNS only: AppendEdited needs it there
}

// In gives the bytes of a span.
func (h *Header) In(s Span) []byte { return h.Raw[s.Lo:s.Hi] }

// Prefix is a namespace declaration of the stream header.
type Prefix struct{ Name, URI string }

// StreamHeader is the opening tag of a stream (RFC 6120 4.7). Its strings are copies, references resolved.
type StreamHeader struct {
	NS       string // default (content) namespace
	To, From string
	ID       string
	Version  string
	Lang     string
	Modern   bool              // version 1.0, and modern='1' in NSModern: a component stream with features
	Prefixes []Prefix          // in document order, without xml; at most 32
	Extra    map[string]string // other attributes, by "URI local"
}

// Limits bound what a Scanner takes. Exceeding one is policy-violation (RFC 6120 4.9.3.14).
type Limits struct {
	Stanza int // bytes of one top-level element, and of white space between two
	Depth  int // nesting; the top-level element is 1
	Tag    int // bytes of one tag
	Attrs  int // attributes and declarations of one tag
}

// DefaultLimits are what a server uses when the configuration is silent.
var DefaultLimits = Limits{Stanza: 256 << 10, Depth: 64, Tag: 16 << 10, Attrs: 64}

// StreamError is a stream error (RFC 6120 4.9) and a Go error.
type StreamError struct {
	Condition string // element name of RFC 6120 4.9.3
	Text      string // for people: cause and mend, and no secrets; may be empty
	App       string // application-specific condition (4.9.4), as an XML element with its own xmlns; may be empty
}

// Error gives condition and text.
func (e *StreamError) Error() string { return e.Condition + ": " + e.Text }
