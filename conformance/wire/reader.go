package wire

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrMore says that what was fed ends before the next event does.
var ErrMore = errors.New("feed more: the next event is not whole yet")

// Breach is the kind of a SyntaxError.
type Breach byte

// The kinds of breaches.
const (
	NotWellFormed Breach = iota // XML 1.0
	Restricted                  // well-formed, and excluded by RFC 6120 11.1: comment, instruction, document type, other entity
	NotNamespaced               // well-formed, and not namespace-well-formed (Namespaces in XML 1.0)
	NotUTF8                     // not UTF-8 (RFC 3629), or declared to be something else (RFC 6120 11.6)
	TooLong                     // longer than the reader was told to take
)

// String is how an error names the kind.
func (b Breach) String() string {
	return [...]string{"not well-formed", "restricted", "not namespace-well-formed", "not UTF-8", "too long"}[b]
}

// SyntaxError is where a stream stopped being one.
type SyntaxError struct {
	Offset int // in bytes, from the beginning of the stream
	What   string
	Kind   Breach
}

// Error says where, which kind, and what.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("read byte %d: %s: %s", e.Offset, e.Kind, e.What)
}

// place is where in the grammar of XML the next character stands.
type place byte

const (
	atStart       place = iota // before the first character
	atProlog                   // white space or the declaration has gone before
	atContent                  // text
	atEpilog                   // behind the end of the stream
	atLess                     // behind <
	atBang                     // behind <!, up to where it is known what it is
	atTarget                   // behind <?
	atDeclaration              // in the XML declaration
	atCDATA                    // in a CDATA section
	atReference                // behind &
	atName                     // in the name of an opening tag
	atSpace                    // behind white space in an opening tag
	atAttr                     // in the name of an attribute
	atEqual                    // behind white space that follows this name
	atQuote                    // before the value
	atValue                    // in it
	atGap                      // behind it
	atSlash                    // behind / in an opening tag
	atEndName                  // in the name of a closing tag
	atEndSpace                 // behind this name
)

// steps has what a character means at each place.
var steps = [...]func(*Reader, rune) *SyntaxError{
	atStart: (*Reader).start, atProlog: (*Reader).prolog, atContent: (*Reader).content, atEpilog: (*Reader).epilog,
	atLess: (*Reader).afterLess, atBang: (*Reader).bang, atTarget: (*Reader).target, atDeclaration: (*Reader).declaration,
	atCDATA: (*Reader).cdata, atReference: (*Reader).reference, atName: (*Reader).name, atSpace: (*Reader).space,
	atAttr: (*Reader).attr, atEqual: (*Reader).equal, atQuote: (*Reader).quoted, atValue: (*Reader).value, atGap: (*Reader).gap,
	atSlash: (*Reader).slash, atEndName: (*Reader).endName, atEndSpace: (*Reader).endSpace,
}

// Reader reads one stream, character by character: what it says does not depend on how the bytes were cut when they
// were fed, but that text between elements may come in several events. It is for one goroutine. After TLS or SASL the stream
// is a new one, and so is its reader (RFC 6120 4.3.3).
type Reader struct {
	max  int // bytes of one event
	buf  []byte
	base int // the offset of buf[0] in the stream
	mark int // in buf: what is before was given out
	pos  int // in buf: what is before was read
	err  error

	in    place
	at    int    // the offset of the character that is read
	less  int    // the offset of the last < outside of CDATA
	amp   int    // the offset of the last &
	back  place  // where a reference stands
	word  []byte // a name, or what else is read to its end before it means something
	quote rune   // of the value that is read
	val   []byte // this value
	attrs []attribute
	tag   string // the name of the tag that is read
	text  []byte // of the element that is open, up to here
	brack int    // how many ] have gone before in text, 2 at most

	ready    *Event
	header   *Element // the root, without children
	endsHere bool     // the header was an empty-element tag
	open     []open   // from the root to the element that is read
	spans    []span   // of the element of the stream that is read
	scope    map[string][]string
	bound    []string // prefixes, in the order they were bound
}

// open is an element whose closing tag is to come.
type open struct {
	element *Element
	tag     string // its name as it was written
	bound   int    // how many prefixes were bound before it
	span    int    // its place in spans
}

// span is where an element stands, by offsets in the stream.
type span struct {
	element *Element
	lo, hi  int
}

// NewReader makes a reader that takes at most so many bytes (at least 4, a character) for the header, with what stands
// before it, and for each element.
func NewReader(limit int) *Reader {
	return &Reader{max: max(limit, utf8.UTFMax), scope: map[string][]string{"": {""}, "xml": {spaceXML}, "xmlns": {spaceXMLNS}}}
}

// Feed takes bytes of the stream. It copies them.
func (r *Reader) Feed(p []byte) {
	if r.mark > len(r.buf)/2 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.mark:])]
		r.base, r.pos, r.mark = r.base+r.mark, r.pos-r.mark, 0
	}
	r.buf = append(r.buf, p...)
}

// Buffered is what was fed and is in no event yet. It is good until the next call.
func (r *Reader) Buffered() []byte { return r.buf[r.mark:] }

// Next gives the next event. Joined, the Raw of all events and Buffered are what was fed. The error is ErrMore, or a
// *SyntaxError, which stays: who has not understood one byte knows nothing of those behind it.
func (r *Reader) Next() (Event, error) {
	if r.err != nil {
		return Event{}, r.err
	}
	if r.endsHere {
		r.endsHere = false
		return Event{Kind: End}, nil
	}
	for r.ready == nil {
		c, size := r.peek()
		between := r.betweenElements()
		if between && (size == 0 || c == '<' || c == '&' || r.pos+size-r.mark > r.max) {
			r.say(Text, nil)
			break
		}
		if size == 0 {
			return Event{}, ErrMore
		}
		from := r.pos
		if err := r.step(c, size); err != nil {
			r.err, r.pos = err, from
			if !between {
				return Event{}, err
			}
			r.say(Text, nil) // what went before was good
		}
	}
	ev := *r.ready
	r.ready = nil
	return ev, nil
}

// betweenElements reports whether text of the stream itself has been read and could be given out. It is, as soon as there is
// no more: who waits for silence wants to know.
func (r *Reader) betweenElements() bool {
	return r.pos > r.mark && (r.in == atContent && len(r.open) == 1 || r.in == atEpilog)
}

// peek gives the next character, with line ends made one (XML 1.0 2.11), and its size in bytes: 0 if it is not whole.
func (r *Reader) peek() (c rune, size int) {
	rest := r.buf[r.pos:]
	switch {
	case len(rest) == 0 || !utf8.FullRune(rest) || rest[0] == '\r' && len(rest) == 1:
		return 0, 0
	case rest[0] == '\r' && rest[1] == '\n':
		return '\n', 2
	case rest[0] == '\r':
		return '\n', 1
	}
	return utf8.DecodeRune(rest)
}

// step reads one character.
func (r *Reader) step(c rune, size int) *SyntaxError {
	r.at = r.base + r.pos
	switch {
	case r.pos+size-r.mark > r.max:
		return r.wrong(TooLong, "more than %d bytes", r.max)
	case c == utf8.RuneError && size == 1:
		return r.wrong(NotUTF8, "the byte 0x%02X", r.buf[r.pos])
	case !isChar(c):
		return r.wrong(NotWellFormed, "U+%04X is no character of XML 1.0", c)
	}
	r.pos += size
	return steps[r.in](r, c)
}

// wrong is an error at the character that is read.
func (r *Reader) wrong(kind Breach, format string, args ...any) *SyntaxError {
	return r.wrongAt(r.at, kind, format, args...)
}

func (r *Reader) wrongAt(offset int, kind Breach, format string, args ...any) *SyntaxError {
	return &SyntaxError{offset, fmt.Sprintf(format, args...), kind}
}

// say makes an event of all that was read since the last.
func (r *Reader) say(kind Kind, e *Element) {
	raw := append([]byte(nil), r.buf[r.mark:r.pos]...)
	start := r.base + r.mark
	for _, s := range r.spans {
		s.element.Raw = raw[s.lo-start : s.hi-start : s.hi-start]
	}
	r.ready = &Event{Kind: kind, Element: e, Raw: raw}
	if kind == Text {
		r.ready.Text, r.text = string(r.text), r.text[:0]
	}
	r.spans = r.spans[:0]
	r.mark = r.pos
}
