package stanza

import (
	"fmt"
	"math"
)

// Token is what Scanner.Next found.
type Token uint8

const (
	None    Token = iota // more bytes are needed
	Open                 // the stream header: Scanner.StreamHeader is filled
	Element              // one whole top-level element: the Header is filled
	End                  // the closing tag of the stream
)

// String gives the token's name.
func (t Token) String() string { return [...]string{"none", "open", "element", "end"}[t] }

// phase is where the stream is.
type phase uint8

const (
	atStart  phase = iota // nothing but perhaps an XML declaration
	inHeader              // the stream's opening tag
	inStream              // between or in top-level elements
	ended                 // after the closing tag
)

// mode is what is open at Scanner.pos inside an element.
type mode uint8

const (
	between mode = iota // no element begun
	inText
	inTag
	inEnd
	inCData
)

// frame is one open element.
type frame struct {
	lo, hi int32 // its qualified name in the buffer
	marks  int32 // number of bindings before it
	def    int32 // default namespace before it: 0 the stream's, else binding def-1
	own    bool  // whether its parent belongs to the stanza's own content
}

// Scanner cuts one XML stream into its top-level elements and checks them completely: XML 1.0 as RFC 6120
// 11 restricts it, and Namespaces in XML. It copies nothing but the stream header, allocates nothing per
// element, and looks at every byte once however the bytes arrive. It belongs to one goroutine, the reader of
// the stream. Make one with NewScanner; it must not be copied.
type Scanner struct {
	// set by the owner
	lim Limits

	// the stream
	header StreamHeader
	space  []byte // header.NS as bytes
	root   []byte // qualified name of the stream element
	err    *StreamError
	offset int64 // bytes of the stream before buf
	origin int64 // bytes of the stream before the construct, for error texts
	white  int   // length of the white space since the last element, over all calls
	phase  phase

	// the element that is incomplete; all indexes count from its first byte
	mode  mode
	own   bool  // the innermost open element is of the stanza's own content
	def   int32 // default namespace in scope: 0 the stream's, else binding def-1
	pos   int   // everything before is checked
	look  int   // matched bytes of an end tag, see endTag
	saved Header
	cur   cursor

	stack []frame
	binds []binding
	attrs []attr
	names []expanded // prefixed attributes of the tag just read, if there are several

	// counted only where a call ends for want of bytes: what dripping costs, for the tests
	work int64

	stack0 [16]frame
	binds0 [8]binding
	attrs0 [10]attr
}

// NewScanner makes a Scanner for a stream of which nothing is read yet. Limits that are zero or negative are
// those of DefaultLimits.
func NewScanner(lim Limits) *Scanner {
	s := new(Scanner)
	s.Reset()
	s.SetLimits(lim)
	return s
}

// SetLimits changes the limits from the next byte on, for instance once the peer is authenticated.
func (s *Scanner) SetLimits(lim Limits) {
	for _, l := range []struct{ v, def *int }{
		{&lim.Stanza, &DefaultLimits.Stanza}, {&lim.Depth, &DefaultLimits.Depth},
		{&lim.Tag, &DefaultLimits.Tag}, {&lim.Attrs, &DefaultLimits.Attrs},
	} {
		if *l.v <= 0 {
			*l.v = *l.def
		}
	}
	lim.Stanza = min(lim.Stanza, math.MaxInt32/2) // spans are int32
	s.lim = lim
}

// Reset forgets everything but the limits: for a stream restart (RFC 6120 4.3.3) or for reuse by another
// stream. Nothing of the old stream, an error least of all, reaches the new one.
func (s *Scanner) Reset() {
	*s = Scanner{lim: s.lim}
	s.stack, s.binds, s.attrs = s.stack0[:0], s.binds0[:0], s.attrs0[:0]
}

// StreamHeader gives the stream header. It is empty before Next has returned Open, and belongs to the Scanner.
func (s *Scanner) StreamHeader() *StreamHeader { return &s.header }

// Next looks for the next token at the beginning of buf, which starts where the last token ended: the caller
// drops n bytes after each call. With None they were white space or the XML declaration, or none; the caller appends bytes
// to the rest and calls again, and the Scanner goes on where it stopped. With Element h is filled and borrows
// from buf, so that a batch of Headers can be collected from one buffer. The error is a *StreamError, and from
// then on every call returns it.
func (s *Scanner) Next(buf []byte, h *Header) (tok Token, n int, err error) {
	if s.err != nil {
		return None, 0, s.err
	}
	lead := 0
	if s.mode == between {
		if s.phase == atStart {
			if n = s.declaration(buf); n < 0 {
				return s.stopped(n, 0)
			}
			if n > 0 {
				s.offset += int64(n)
				tok, rest, err := s.Next(buf[n:], h)
				return tok, n + rest, err
			}
		}
		for lead < len(buf) && class[buf[lead]]&isSpace != 0 {
			lead++
		}
		if lead > 0 || s.white > 0 {
			if s.white += lead; s.white > s.lim.Stanza {
				s.origin = s.offset
				return s.stopped(s.fail("policy-violation", lead, "there is too much white space between two stanzas; send less"), 0)
			}
		}
		if lead == len(buf) {
			s.offset += int64(lead)
			return None, lead, nil
		}
	}
	s.origin = s.offset + int64(lead)
	return s.construct(buf[lead:], lead, h)
}

// construct reads the tag or element at the beginning of b, behind lead bytes of white space.
func (s *Scanner) construct(b []byte, lead int, h *Header) (Token, int, error) {
	tok, n := None, 0
	clip := b
	if len(clip) > s.lim.Stanza {
		clip = clip[:s.lim.Stanza]
	}
	if s.mode != between {
		*h = s.saved
	} else {
		if n = s.begin(clip); n < 0 {
			return s.stopped(n, lead)
		}
		*h = Header{}
	}
	switch {
	case s.phase == inHeader:
		tok, n = Open, s.open(clip)
	case s.mode == inEnd && len(s.stack) == 0:
		tok, n = End, s.close(clip)
	default:
		tok, n = Element, s.element(clip, h)
	}
	if n == more && len(b) >= s.lim.Stanza {
		n = s.fail("policy-violation", s.lim.Stanza, fmt.Sprintf("the element is longer than %d bytes; send smaller ones", s.lim.Stanza))
	}
	if n < 0 {
		if n == more {
			s.saved = *h
		}
		return s.stopped(n, lead)
	}
	if tok == Element {
		h.Raw = b[:n:n]
	}
	s.mode, s.white = between, 0
	s.offset += int64(lead + n)
	return tok, lead + n, nil
}

// stopped turns more and failed into the answer of Next; lead bytes of white space are done with.
func (s *Scanner) stopped(n, lead int) (Token, int, error) {
	if n == failed {
		return None, 0, s.err
	}
	s.offset += int64(lead)
	return None, lead, nil
}

// begin looks at the first two bytes of what is not white space at stream level and sets the mode.
func (s *Scanner) begin(b []byte) int {
	if s.phase == ended {
		return s.fail("not-well-formed", 0, "there are bytes after the closing tag of the stream; open a new stream")
	}
	if b[0] != '<' {
		return s.levelText(b)
	}
	if len(b) < 2 {
		return more
	}
	switch c := b[1]; {
	case c == '/' && s.phase == inStream:
		s.mode, s.pos, s.look = inEnd, 0, 2
	case c == '/':
		return s.fail("not-well-formed", 1, "the stream is closed before it is opened; send a stream header first")
	case c == '!' && len(b) < 3:
		return more
	case c == '!' && b[2] == '[':
		return s.fail("bad-format", 2, "there is a CDATA section between stanzas; put text into elements only")
	case c == '!' || c == '?':
		return s.restricted(b, 0)
	default:
		s.startTag(1)
	}
	return 0
}

// levelText refuses text between stanzas (RFC 6120 4.6.1 and 11.7 allow white space only). U+FEFF is text
// like any other: RFC 6120 11.6 knows no byte order mark.
func (s *Scanner) levelText(b []byte) int {
	if b[0] >= 0x80 {
		switch _, n := char(b, 0); n {
		case more:
			return more
		case failed:
			return s.badChar(0)
		}
	} else if class[b[0]]&isText == 0 && b[0] != '&' && b[0] != '>' {
		return s.badChar(0)
	}
	return s.fail("bad-format", 0, "there is text outside of the stanzas; put text into elements only")
}

// restricted refuses what RFC 6120 11.1 excludes from streams, at i where "<!" or "<?" stands.
func (s *Scanner) restricted(b []byte, i int) int {
	what := "a comment"
	switch {
	case b[i+1] == '?':
		what = "a processing instruction or a late XML declaration"
	case len(b) > i+2 && b[i+2] != '-':
		what = "a document type or other declaration"
	}
	return s.fail("restricted-xml", i, "there is "+what+", which XMPP does not allow; leave it out")
}

func (s *Scanner) badChar(i int) int {
	return s.fail("not-well-formed", i, "there is a control character or a byte that is not UTF-8; send XML 1.0 characters in UTF-8")
}

// fail notes the stream error that ends the stream: condition of RFC 6120 4.9.3, index of the offence, cause
// and mend. It returns failed.
func (s *Scanner) fail(condition string, i int, text string) int {
	if s.err == nil {
		s.err = &StreamError{Condition: condition, Text: fmt.Sprintf("%s (at byte %d of the stream)", text, s.origin+int64(i))}
	}
	return failed
}
