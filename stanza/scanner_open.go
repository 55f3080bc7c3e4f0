package stanza

import (
	"bytes"
	"regexp"
	"strings"
)

// XMLDecl of XML 1.0 [23]; submatches 1 to 4 are the version and the encoding in either quotes.
var xmlDecl = regexp.MustCompile(strings.NewReplacer("S", `[ \t\r\n]`, "=", `[ \t\r\n]*=[ \t\r\n]*`).Replace(
	`^<\?xmlS+version=(?:'([\w.:-]+)'|"([\w.:-]+)")(?:S+encoding=(?:'([A-Za-z][\w.-]*)'|"([A-Za-z][\w.-]*)"))?` +
		`(?:S+standalone=(?:'(?:yes|no)'|"(?:yes|no)"))?S*\?>$`))

// maxDecl is the longest XML declaration that is read, in bytes.
const maxDecl = 256

// declaration reads the XML declaration, which may stand at the very beginning of a stream only (RFC 6120
// 11.5). It gives the declaration's length, 0 when there is none.
func (s *Scanner) declaration(b []byte) int {
	const open = "<?xml"
	n := min(len(b), len(open))
	if string(b[:n]) != open[:n] {
		s.phase = inHeader
		return 0
	}
	if len(b) <= len(open) {
		return more
	}
	if class[b[len(open)]]&isSpace == 0 {
		s.phase = inHeader
		return 0 // another processing instruction
	}
	b = b[:min(len(b), maxDecl)]
	end := bytes.IndexByte(b, '>') + 1
	if end == 0 && len(b) < maxDecl {
		return more
	}
	s.origin = s.offset
	m := xmlDecl.FindSubmatch(b[:end])
	switch {
	case m == nil:
		return s.fail("not-well-formed", 0, "the XML declaration is not correct; write <?xml version='1.0'?> or leave it out")
	case !strings.HasPrefix(string(m[1])+string(m[2]), "1."): // XML 1.0 [26]
		return s.fail("not-well-formed", 0, "the XML declaration names a version that XML does not have; use 1.0")
	case string(m[1])+string(m[2]) != "1.0":
		return s.fail("unsupported-version", 0, "the XML declaration asks for another version of XML; use 1.0")
	}
	if enc := string(m[3]) + string(m[4]); enc != "" && !strings.EqualFold(enc, "utf-8") {
		return s.fail("unsupported-encoding", 0, "the XML declaration names another encoding; send UTF-8")
	}
	s.phase = inHeader
	return end
}

// open reads the stream's opening tag and copies it into the StreamHeader.
func (s *Scanner) open(b []byte) int {
	n := s.tag(b)
	if n < 0 {
		return n
	}
	var h Header // no prefix is of an outer header here
	ref, ok := s.resolveTag(b, &h)
	if !ok {
		return failed
	}
	c := &s.cur
	lo := c.lo
	if c.colon != 0 {
		lo = c.colon + 1
	}
	switch {
	case string(b[lo:c.hi]) != "stream":
		return s.fail("bad-format", int(c.lo), "the first element is not stream; open an XMPP stream")
	case string(s.appendURI(nil, b, ref)) != NSStream:
		return s.fail("invalid-namespace", int(c.lo), "the stream element is not in the namespace "+NSStream+"; declare that")
	case c.empty:
		return s.fail("bad-format", int(c.end)-2, "the stream is closed in its opening tag; leave out the '/'")
	}
	for k := range s.attrs {
		if !s.headerAttr(b, &s.attrs[k], &h) {
			return failed
		}
	}
	s.header.Modern = atLeastOne(s.header.Version) && s.header.Extra[NSModern+" modern"] == "1"
	s.space, s.root = []byte(s.header.NS), bytes.Clone(b[c.lo:c.hi])
	s.binds, s.def = s.binds[:0], 0
	s.phase = inStream
	return n
}

// atLeastOne reports whether a version is 1.0 or higher: who speaks a higher one is answered with 1.0 (RFC 6120 4.7.5). The numbers on
// both sides of the point are compared one by one, leading zeros do not count.
func atLeastOne(version string) bool {
	major, minor, ok := strings.Cut(version, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return ok && digits(major) && digits(minor) && strings.TrimLeft(major, "0") != ""
}

// headerAttr copies one attribute of the stream's opening tag.
func (s *Scanner) headerAttr(b []byte, a *attr, h *Header) bool {
	value := string(AppendUnescaped(nil, b[a.vlo:a.vhi]))
	name := string(b[a.lo:a.hi])
	to := &s.header
	switch name {
	case "xmlns":
		to.NS = value
	case "to":
		to.To = value
	case "from":
		to.From = value
	case "id":
		to.ID = value
	case "version":
		to.Version = value
	case "xml:lang":
		to.Lang = value
	case "xmlns:xml":
	default:
		if isDecl(b[a.lo:a.hi]) {
			to.Prefixes = append(to.Prefixes, Prefix{Name: name[len("xmlns:"):], URI: value})
			if len(to.Prefixes) > 32 {
				s.fail("policy-violation", int(a.lo), "the stream header declares more than 32 prefixes; declare them where they are used")
				return false
			}
			return true
		}
		s.extra(b, a, h, value)
	}
	return true
}

// extra keeps an attribute that RFC 6120 4.7 does not name.
func (s *Scanner) extra(b []byte, a *attr, h *Header, value string) {
	key := string(b[a.lo:a.hi])
	if a.colon != 0 {
		uri := s.appendURI(nil, b, s.lookup(b, b[a.lo:a.colon], h))
		key = string(uri) + " " + string(b[a.colon+1:a.hi])
	}
	if s.header.Extra == nil {
		s.header.Extra = make(map[string]string)
	}
	s.header.Extra[key] = value
}

// Space gives the namespace of the top-level element, references resolved. It is for elements of kind Other
// whose Header this Scanner has filled; it borrows from h.Raw or from the Scanner.
func (s *Scanner) Space(h *Header) []byte {
	name := h.In(h.Name)
	colon := bytes.IndexByte(name, ':')
	if colon < 0 {
		if !h.XMLNS.Set() {
			return s.space
		}
		return unescaped(h.In(h.XMLNS.Value), h.XMLNS.Escaped)
	}
	prefix := name[:colon]
	for t := tagAt(h.Raw, 0); t.next(); {
		if declares(t.name, prefix) {
			return unescaped(t.value, t.escaped())
		}
	}
	for _, p := range s.header.Prefixes {
		if p.Name == string(prefix) {
			return []byte(p.URI)
		}
	}
	return []byte(NSXML) // the one prefix that needs no declaration
}

// unescaped gives an attribute value without references, in place when it has none.
func unescaped(value []byte, escaped bool) []byte {
	if escaped {
		return AppendUnescaped(nil, value)
	}
	return value
}
