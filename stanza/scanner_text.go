package stanza

// element reads on in a top-level element, up to the index behind it.
func (s *Scanner) element(b []byte, h *Header) int {
	i := s.pos
	for {
		if s.mode == inText {
			if i = s.text(b, i); i < 0 {
				return i
			}
			if i = s.markup(b, i); i < 0 {
				return i
			}
		}
		switch s.mode {
		case inTag:
			if i = s.tag(b); i >= 0 && !s.opened(b, h) {
				i = failed
			}
		case inEnd:
			if i = s.endTag(b, i); i >= 0 {
				s.closed()
			}
		case inCData:
			i = s.cdata(b, i)
		}
		if i < 0 {
			return i
		}
		if s.mode = inText; len(s.stack) == 0 {
			return i
		}
	}
}

// markup looks at what begins with the '<' at i and sets the mode.
func (s *Scanner) markup(b []byte, i int) int {
	if i+1 >= len(b) {
		return s.wait(b, i, i)
	}
	switch b[i+1] {
	case '/':
		s.mode, s.look = inEnd, 2
		return i
	case '!':
		return s.bang(b, i)
	case '?':
		return s.restricted(b, i)
	}
	s.startTag(i + 1)
	return i
}

// bang tells a CDATA section from a comment or a declaration.
func (s *Scanner) bang(b []byte, i int) int {
	const open = "<![CDATA["
	if len(b) > i+2 && b[i+2] != '[' {
		return s.restricted(b, i)
	}
	n := min(len(b)-i, len(open))
	if string(b[i:i+n]) != open[:n] {
		return s.fail("not-well-formed", i, "a '<![' does not go on with CDATA[; write &lt; for a '<'")
	}
	if n < len(open) {
		return s.wait(b, i, i)
	}
	s.mode, s.look = inCData, i+n
	return i + n
}

// text reads character data up to the next '<'.
func (s *Scanner) text(b []byte, i int) int {
	from := i
	for {
		i = textRun(b, i)
		if i == len(b) {
			return s.wait(b, from, i)
		}
		n := i + 1
		switch c := b[i]; {
		case c == '<':
			return i
		case c == '&':
			n = s.reference(b, i)
		case c == '>':
			// what stands before text is a '>', so two brackets are always of this text
			if b[i-1] == ']' && b[i-2] == ']' {
				return s.fail("not-well-formed", i, "there is a ']]>' in text; write ]]&gt;")
			}
		case c >= 0x80:
			n = s.chars(b, i, isText)
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r':
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

// cdata reads a CDATA section up to the index behind "]]>". Scanner.look is where its content begins.
func (s *Scanner) cdata(b []byte, i int) int {
	from := i
	for {
		i = cdataRun(b, i)
		if i == len(b) {
			return s.wait(b, from, i)
		}
		n := i + 1
		switch c := b[i]; {
		case c == '>':
			if i-2 >= s.look && b[i-1] == ']' && b[i-2] == ']' {
				return n
			}
		case c >= 0x80:
			n = s.chars(b, i, isText)
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r':
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

// chars goes over the non-ASCII characters at i: at least one, or more, or failed.
func (s *Scanner) chars(b []byte, i int, plain uint8) int {
	n := utf8Run(b, i, plain)
	if n > i {
		return n
	}
	if _, n = char(b, i); n == failed {
		return s.badChar(i)
	}
	return n
}

// endTag compares the end tag at i with the name of the start tag, where that stands in the buffer.
// Scanner.look counts the bytes that are already known to match.
func (s *Scanner) endTag(b []byte, i int) int {
	f := &s.stack[len(s.stack)-1]
	name := b[f.lo:f.hi]
	j := i + 2 + len(name)
	if j < len(b) && b[j] == '>' && string(b[i+2:j]) == string(name) {
		return j + 1
	}
	return s.matchEnd(b, i, name)
}

// close reads the closing tag of the stream.
func (s *Scanner) close(b []byte) int {
	n := s.matchEnd(b, 0, s.root)
	if n > 0 {
		s.phase = ended
	}
	return n
}

// matchEnd compares an end tag that has white space, is incomplete or wrong.
func (s *Scanner) matchEnd(b []byte, i int, name []byte) int {
	from := s.look
	for ; ; s.look++ {
		k := i + s.look
		if s.look >= s.lim.Tag {
			return s.fail("policy-violation", k, "an end tag is too long; leave out its white space")
		}
		if k >= len(b) {
			s.pos = i
			s.work += int64(s.look - from + 1)
			return more
		}
		switch {
		case s.look-2 < len(name):
			if b[k] != name[s.look-2] {
				return s.fail("not-well-formed", k, "an end tag does not match its start tag; close elements in the order in which they were opened")
			}
		case b[k] == '>':
			return k + 1
		case class[b[k]]&isSpace == 0:
			return s.fail("not-well-formed", k, "an end tag does not match its start tag; close elements in the order in which they were opened")
		}
	}
}

// maxReference is the longest reference that is read, in bytes; "&#x10FFFF;" has ten.
const maxReference = 64

// reference checks the reference at i: one of the five entities, or a character that XML allows.
func (s *Scanner) reference(b []byte, i int) int {
	k := i + 1
	for ; k < len(b) && b[k] != ';'; k++ {
		if b[k] >= 0x80 {
			return s.entity(i)
		}
		if class[b[k]]&isEntity == 0 {
			return s.fail("not-well-formed", k, "there is an '&' that begins no reference; write &amp;")
		}
		if k-i >= maxReference {
			return s.fail("policy-violation", k, "a reference is too long; leave out leading zeros")
		}
	}
	if k == len(b) {
		return more
	}
	if r, ok := resolve(b[i+1 : k]); !ok {
		if k == i+1 || b[i+1] == '#' {
			return s.fail("not-well-formed", i, "a character reference is empty or names no character of XML; leave it out")
		}
		return s.entity(i)
	} else if !isChar(r) {
		return s.fail("not-well-formed", i, "a character reference names no character of XML; leave it out")
	}
	return k + 1
}

func (s *Scanner) entity(i int) int {
	return s.fail("restricted-xml", i, "there is a reference to an entity other than lt, gt, amp, apos and quot; write the character itself")
}
