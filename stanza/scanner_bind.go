package stanza

import (
	"fmt"
	"hash/maphash"
)

// binding is a namespace declaration in scope within the current element.
type binding struct {
	lo, hi   int32  // the prefix; empty for the default namespace
	vlo, vhi int32  // the URI as written
	key      uint32 // keyOf the prefix
	escaped  bool
	own      bool // the URI is the stream's content namespace or jabber:client
}

// A name's namespace: 0 is the stream's default, k > 0 is binding k-1, and these.
const (
	refUnknown = -1
	refXML     = -2
	refRoot    = -3 // refRoot-i is prefix i of the stream header
)

// maxBindings is how many declarations may be in scope below the top-level element: a prefix is looked for among
// all of them. Those of the top-level element are not counted. Limits.Attrs bounds them, and AppendEdited adds to
// them: what one Scanner has passed must not exceed this bound of the next.
const maxBindings = 256

// bounded holds the declarations in scope against maxBindings; marks were in scope before the tag just read.
func (s *Scanner) bounded(marks int32) bool {
	if len(s.stack) > 1 {
		marks = s.stack[1].marks
	}
	if len(s.stack) == 0 || len(s.binds)-int(marks) <= maxBindings {
		return true
	}
	s.fail("policy-violation", int(s.cur.tag),
		fmt.Sprintf("more than %d namespace declarations are in scope; declare fewer prefixes, or nearer to their use", maxBindings))
	return false
}

// isDecl tells whether an attribute of this name declares a namespace.
func isDecl(name []byte) bool {
	return len(name) >= 5 && string(name[:5]) == "xmlns" && (len(name) == 5 || name[5] == ':')
}

// declare takes one xmlns attribute (Namespaces in XML 3: xml and xmlns are bound for ever, and no prefix can
// be undeclared).
func (s *Scanner) declare(b []byte, a *attr) bool {
	v, prefix := b[a.vlo:a.vhi], b[a.hi:a.hi]
	var room [64]byte
	if a.escaped {
		v = AppendUnescaped(room[:0], v)
	}
	if a.colon != 0 {
		prefix = b[a.colon+1 : a.hi]
	}
	fault := ""
	switch {
	case string(prefix) == "xmlns":
		fault = "the prefix xmlns is declared; leave it out"
	case string(v) == NSXMLNS:
		fault = "the namespace of xmlns is declared; leave it out"
	case (string(prefix) == "xml") != (string(v) == NSXML):
		fault = "the prefix xml and its namespace are declared apart; leave it out"
	case len(v) == 0 && len(prefix) > 0:
		fault = "a prefix is bound to no namespace; leave the declaration out"
	}
	if fault != "" {
		s.fail("not-well-formed", int(a.lo), fault)
		return false
	}
	s.binds = append(s.binds, binding{
		lo: a.hi - int32(len(prefix)), hi: a.hi, vlo: a.vlo, vhi: a.vhi, key: keyOf(prefix), escaped: a.escaped,
		own: string(v) == string(s.space) || string(v) == NSClient,
	})
	if len(prefix) == 0 {
		s.def = int32(len(s.binds))
	}
	return true
}

// expanded is the name of a prefixed attribute of the tag just read (Namespaces in XML 2.1).
type expanded struct {
	lo, hi int32  // its local name
	ref    int32  // its namespace
	sum    uint64 // of the namespace, 0 while nobody asked
}

// sums is the seed of expanded.sum: a peer cannot choose namespaces whose sums are the same.
var sums = maphash.MakeSeed()

// checkPrefixed finds undeclared prefixes of attributes, and two attributes with the same expanded name
// (Namespaces in XML 6.3).
func (s *Scanner) checkPrefixed(b []byte, h *Header) bool {
	s.names = s.names[:0]
	for k := range s.attrs {
		a := &s.attrs[k]
		if a.colon == 0 || isDecl(b[a.lo:a.hi]) {
			continue
		}
		ref := s.lookup(b, b[a.lo:a.colon], h)
		if ref == refUnknown {
			s.fail("not-well-formed", int(a.lo), "an attribute has a prefix that is not declared; declare it with xmlns")
			return false
		}
		if s.cur.prefixed < 2 {
			return true // there is no other
		}
		s.names = append(s.names, expanded{lo: a.colon + 1, hi: a.hi, ref: ref})
		if s.twin(b) {
			s.fail("not-well-formed", int(a.lo), "two attributes have the same name in the same namespace; leave one out")
			return false
		}
	}
	return true
}

// twin looks among s.names for one with the same local name and namespace as the last. Namespaces are compared by
// their sums first: each is then read once in a tag, and not once for each pair.
func (s *Scanner) twin(b []byte) bool {
	last := len(s.names) - 1
	e := &s.names[last]
	for i := range s.names[:last] {
		o := &s.names[i]
		if string(b[o.lo:o.hi]) == string(b[e.lo:e.hi]) && s.sum(b, o) == s.sum(b, e) &&
			string(s.appendURI(nil, b, o.ref)) == string(s.appendURI(nil, b, e.ref)) {
			return true
		}
	}
	return false
}

// sum gives the sum of a name's namespace.
func (s *Scanner) sum(b []byte, e *expanded) uint64 {
	if e.sum == 0 {
		var room [128]byte
		e.sum = maphash.Bytes(sums, s.appendURI(room[:0], b, e.ref)) | 1
	}
	return e.sum
}

// lookup gives the namespace that a prefix is bound to. A prefix of the stream header is noted in h.
func (s *Scanner) lookup(b, prefix []byte, h *Header) int32 {
	key := keyOf(prefix)
	for k := len(s.binds) - 1; k >= 0; k-- {
		if d := &s.binds[k]; d.key == key && string(b[d.lo:d.hi]) == string(prefix) {
			return int32(k + 1)
		}
	}
	if string(prefix) == "xml" {
		return refXML
	}
	for i := range s.header.Prefixes {
		if s.header.Prefixes[i].Name == string(prefix) {
			h.RootPrefixes |= 1 << i
			h.Flags |= FlagRootPrefix
			return refRoot - int32(i)
		}
	}
	return refUnknown
}

// appendURI appends the namespace that ref names, references resolved.
func (s *Scanner) appendURI(dst, b []byte, ref int32) []byte {
	switch {
	case ref == 0:
		return append(dst, s.space...)
	case ref == refXML:
		return append(dst, NSXML...)
	case ref <= refRoot:
		return append(dst, s.header.Prefixes[refRoot-ref].URI...)
	}
	d := &s.binds[ref-1]
	if d.escaped {
		return AppendUnescaped(dst, b[d.vlo:d.vhi])
	}
	return append(dst, b[d.vlo:d.vhi]...)
}
