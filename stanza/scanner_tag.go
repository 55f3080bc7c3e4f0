package stanza

import (
	"fmt"
)

// step is the part of a start tag that is being read. The order is that of the grammar.
type step uint8

const (
	stepName  step = iota // the element's name
	stepGap               // white space before an attribute, or the end of the tag
	stepSlash             // behind '/'
	stepAttr              // an attribute's name
	stepEqual             // white space and '='
	stepQuote             // white space and the opening quote
	stepValue             // up to the closing quote
)

// cursor is how far a start tag is read: with it a tag that arrives in pieces is read once.
type cursor struct {
	tag, end int32 // the '<'; and, when the tag is complete, the index behind its '>'
	lo, hi   int32 // the element's name
	colon    int32 // the colon in it, or 0
	part     int32 // first byte of the NCName being read
	step     step
	quote    byte
	empty    bool  // the tag ends with "/>"
	declares bool  // there is an xmlns attribute
	prefixed int8  // prefixed attributes other than xmlns declarations: 0, 1, or 2 for more
	behind   int32 // behind the name or the last attribute
}

// attr is one attribute of the start tag being read; the last of Scanner.attrs may be incomplete.
type attr struct {
	outer    int32  // the white space before its name
	lo, hi   int32  // its name
	colon    int32  // the colon in the name, or 0
	vlo, vhi int32  // its value
	key      uint32 // keyOf its name
	escaped  bool
}

// startTag begins a start tag whose name is at i.
func (s *Scanner) startTag(i int) {
	s.mode, s.pos = inTag, i
	s.cur = cursor{tag: int32(i - 1), lo: int32(i), part: int32(i)}
	s.attrs = s.attrs[:0]
}

// tag reads on in the start tag that startTag began, up to the index behind '>'.
func (s *Scanner) tag(b []byte) int {
	c := &s.cur
	whole := len(b)
	if limit := int(c.tag) + s.lim.Tag; whole > limit {
		b = b[:limit]
	}
	n := s.tagSteps(b, s.pos)
	if n == more && whole >= int(c.tag)+s.lim.Tag {
		return s.fail("policy-violation", len(b), fmt.Sprintf("the tag is longer than %d bytes; send a smaller one", s.lim.Tag))
	}
	return n
}

func (s *Scanner) tagSteps(b []byte, i int) int {
	c := &s.cur
	if c.step == stepName {
		if i = s.name(b, i, &c.colon); i < 0 {
			return i
		}
		c.hi = int32(i)
		c.step, c.behind = stepGap, int32(i)
	}
	for {
		if c.step == stepGap {
			if i = s.gap(b, i); i < 0 {
				return i
			}
		}
		if c.step == stepSlash {
			if i == len(b) {
				return s.wait(b, i, i)
			}
			if b[i] != '>' {
				return s.fail("not-well-formed", i, "there is a '/' inside a tag; put '>' behind it")
			}
			c.end = int32(i + 1)
			return i + 1
		}
		if i = s.attribute(b, i); i < 0 {
			return i
		}
		c.step, c.behind = stepGap, int32(i)
	}
}

// gap goes over the white space behind a name or an attribute. It leaves the step at stepSlash when the tag
// ends ('>' is then at the index returned), else at stepAttr.
func (s *Scanner) gap(b []byte, i int) int {
	c, from := &s.cur, i
	for i < len(b) && class[b[i]]&isSpace != 0 {
		i++
	}
	if i == len(b) {
		return s.wait(b, from, i)
	}
	switch {
	case b[i] == '>':
		c.step = stepSlash
	case b[i] == '/':
		c.step, c.empty = stepSlash, true
		i++
	case i == int(c.behind):
		return s.fail("not-well-formed", i, "there is no white space before an attribute, or a character that no name may have; mend the tag")
	case len(s.attrs) >= s.lim.Attrs:
		return s.fail("policy-violation", i, fmt.Sprintf("the tag has more than %d attributes; send fewer", s.lim.Attrs))
	default:
		c.step, c.part = stepAttr, int32(i)
		s.addAttr(int32(i))
	}
	return i
}

// addAttr begins an attribute whose name is at i. What a former attribute left in its place is overwritten
// field by field: that is quicker than clearing it.
func (s *Scanner) addAttr(i int32) {
	n := len(s.attrs)
	if n == cap(s.attrs) {
		s.attrs = append(s.attrs, attr{})
	}
	s.attrs = s.attrs[:n+1]
	a := &s.attrs[n]
	a.outer, a.lo, a.colon, a.escaped = s.cur.behind, i, 0, false
}

// attribute reads the last attribute of s.attrs, or what is left of it.
func (s *Scanner) attribute(b []byte, i int) int {
	c := &s.cur
	a := &s.attrs[len(s.attrs)-1]
	switch c.step {
	case stepAttr:
		if i = s.name(b, i, &a.colon); i < 0 {
			return i
		}
		a.hi = int32(i)
		if !s.distinct(b, a) {
			return failed
		}
		c.step = stepEqual
		if i+1 < len(b) && b[i] == '=' && (b[i+1] == '\'' || b[i+1] == '"') {
			c.quote, c.step = b[i+1], stepValue
			a.vlo = int32(i + 2)
			return s.attrValue(b, i+2, a)
		}
		fallthrough
	case stepEqual:
		if i = s.expect(b, i, '=', '='); i < 0 {
			return i
		}
		c.step = stepQuote
		fallthrough
	case stepQuote:
		if i = s.expect(b, i, '\'', '"'); i < 0 {
			return i
		}
		c.quote = b[i-1]
		a.vlo = int32(i)
		c.step = stepValue
	}
	return s.attrValue(b, i, a)
}

// attrValue reads the attribute's value, or what is left of it, and the closing quote.
func (s *Scanner) attrValue(b []byte, i int, a *attr) int {
	if i = s.value(b, i); i < 0 {
		return i
	}
	a.vhi = int32(i)
	return i + 1
}

// keyOf gives the ends and the length of a name: a quick test for equal names. It is 0 for the empty name.
func keyOf(name []byte) uint32 {
	if len(name) == 0 {
		return 0
	}
	return uint32(name[0]) | uint32(name[len(name)-1])<<8 | uint32(len(name))<<16
}

// distinct notes what kind of name the attribute a has, and refuses it when another has the same.
func (s *Scanner) distinct(b []byte, a *attr) bool {
	c, name := &s.cur, b[a.lo:a.hi]
	a.key = keyOf(name)
	for k := range s.attrs[:len(s.attrs)-1] {
		if o := &s.attrs[k]; o.key == a.key && string(b[o.lo:o.hi]) == string(name) {
			s.fail("not-well-formed", int(a.lo), "an attribute is there twice; leave one out")
			return false
		}
	}
	if name[0] == 'x' && isDecl(name) {
		c.declares = true
	} else if a.colon != 0 && c.prefixed < 2 {
		c.prefixed++
	}
	return true
}

// expect goes over white space and one of two characters.
func (s *Scanner) expect(b []byte, i int, one, two byte) int {
	from := i
	for i < len(b) && class[b[i]]&isSpace != 0 {
		i++
	}
	if i == len(b) {
		return s.wait(b, from, i)
	}
	if b[i] != one && b[i] != two {
		return s.fail("not-well-formed", i, "an attribute has no quoted value; write name='value'")
	}
	return i + 1
}

// wait notes where to go on when more bytes are there. The call began at from: the bytes from there on are
// counted as work.
func (s *Scanner) wait(b []byte, from, i int) int {
	s.pos = i
	s.work += int64(len(b) - from + 1)
	return more
}

// name reads a qualified name, whose part since cursor.part is open, up to the first byte that is not of it.
// A QName has at most one colon with an NCName on either side (Namespaces in XML 4 and 7).
func (s *Scanner) name(b []byte, i int, colon *int32) int {
	c, from := &s.cur, i
	for {
		if i == int(c.part) && i < len(b) && class[b[i]]&isStart == 0 && b[i] < 0x80 {
			return s.fail("not-well-formed", i, "a name is missing or begins with a character that names cannot begin with; mend the tag")
		}
		for i < len(b) && class[b[i]]&isName != 0 {
			i++
		}
		if i == len(b) {
			return s.wait(b, from, i)
		}
		switch ch := b[i]; {
		case ch == ':':
			if *colon != 0 {
				return s.fail("not-well-formed", i, "a name has two colons; leave one out (Namespaces in XML)")
			}
			*colon = int32(i)
			i++
			c.part = int32(i)
		case ch >= 0x80:
			r, n := char(b, i)
			if n == more {
				return s.wait(b, from, i)
			}
			if n == failed {
				return s.badChar(i)
			}
			if !within(nameStart, r) && (i == int(c.part) || !within(nameMore, r)) {
				return s.fail("not-well-formed", i, "a name has a character that names cannot have; choose another name")
			}
			i = n
		default:
			return i
		}
	}
}

// value reads an attribute value up to its closing quote.
func (s *Scanner) value(b []byte, i int) int {
	c, from := &s.cur, i
	for {
		i = valueRun(b, i, c.quote)
		if i == len(b) {
			return s.wait(b, from, i)
		}
		n := i + 1
		switch ch := b[i]; {
		case ch == c.quote:
			return i
		case ch == '&':
			s.attrs[len(s.attrs)-1].escaped = true
			n = s.reference(b, i)
		case ch == '<':
			return s.fail("not-well-formed", i, "an attribute value has a '<'; write &lt;")
		case ch == '\t' || ch == '\n' || ch == '\r':
			s.attrs[len(s.attrs)-1].escaped = true // XML 1.0 3.3.3 makes it a space
		case ch >= 0x80:
			n = s.chars(b, i, isValue)
		case ch < 0x20:
			return s.badChar(i)
		}
		if n == more {
			return s.wait(b, from, i)
		}
		if n < 0 {
			return n
		}
		i = n
	}
}
