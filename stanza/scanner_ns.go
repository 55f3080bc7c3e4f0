package stanza

// opened does the name spaces of the start tag just read, fills the header from it and opens the element.
func (s *Scanner) opened(b []byte, h *Header) bool {
	c := &s.cur
	f := frame{lo: c.lo, hi: c.hi, marks: int32(len(s.binds)), def: s.def, own: s.own}
	if len(s.stack) >= s.lim.Depth {
		s.fail("policy-violation", int(c.tag), "the elements are nested too deep; send a flatter stanza")
		return false
	}
	ref, ok := s.resolveTag(b, h)
	if !ok || !s.bounded(f.marks) {
		return false
	}
	if len(s.stack) == 0 {
		ok = s.top(b, h, ref)
	} else {
		s.nested(b, h, ref)
	}
	s.stack = append(s.stack, f)
	if c.empty {
		s.closed()
	}
	return ok
}

// closed ends the innermost element and what was declared in it.
func (s *Scanner) closed() {
	f := &s.stack[len(s.stack)-1]
	s.binds = s.binds[:f.marks]
	s.def, s.own = f.def, f.own
	s.stack = s.stack[:len(s.stack)-1]
}

// resolveTag takes the tag's declarations and checks its prefixes. It gives the namespace of the element.
func (s *Scanner) resolveTag(b []byte, h *Header) (ref int32, ok bool) {
	c := &s.cur
	if c.declares {
		for k := range s.attrs {
			if a := &s.attrs[k]; isDecl(b[a.lo:a.hi]) && !s.declare(b, a) {
				return 0, false
			}
		}
	}
	if c.prefixed > 0 && !s.checkPrefixed(b, h) {
		return 0, false
	}
	if c.colon == 0 {
		return s.def, true
	}
	ref = s.lookup(b, b[c.lo:c.colon], h)
	if ref == refUnknown {
		s.fail("not-well-formed", int(c.lo), "an element has a prefix that is not declared; declare it with xmlns")
	}
	return ref, ref != refUnknown
}

// content tells whether a name without prefix and with namespace ref is in the stream's content namespace.
func (s *Scanner) content(ref int32) bool { return ref == 0 || ref > 0 && s.binds[ref-1].own }

// top fills the header from the top-level start tag.
func (s *Scanner) top(b []byte, h *Header, ref int32) bool {
	c := &s.cur
	h.Name, h.NameEnd = Span{c.lo, c.hi}, c.hi
	for k := range s.attrs {
		a := &s.attrs[k]
		if dst := h.attr(b[a.lo:a.hi]); dst != nil {
			*dst = Attr{Outer: Span{a.outer, a.vhi + 1}, Value: Span{a.vlo, a.vhi}, Escaped: a.escaped}
		}
	}
	own := s.content(ref)
	local := b[c.lo:c.hi]
	if c.colon != 0 {
		var room [128]byte
		local = b[c.colon+1 : c.hi]
		if uri := s.appendURI(room[:0], b, ref); string(uri) == string(s.space) || string(uri) == NSClient {
			s.fail("bad-namespace-prefix", int(c.lo), "a stanza has a prefix; use the default namespace of the stream")
			return false
		}
		own = false
	}
	if !own && string(local) == "stream" {
		var room [128]byte
		if string(s.appendURI(room[:0], b, ref)) == NSStream {
			s.fail("policy-violation", int(c.tag), "there is a stream header inside the stream; close the stream before opening another")
			return false
		}
	}
	s.own = own
	if !own {
		return true
	}
	if h.XMLNS.Set() {
		h.Flags |= FlagXMLNS
	}
	switch string(local) {
	case "message":
		h.Kind = Message
	case "presence":
		h.Kind = Presence
	case "iq":
		h.Kind = IQ
	}
	h.Type = typeOf(b, h)
	return true
}

// attr gives the field for an attribute of the top-level start tag, nil for one that the router does not need.
func (h *Header) attr(name []byte) *Attr {
	switch string(name) {
	case "to":
		return &h.To
	case "from":
		return &h.From
	case "id":
		return &h.ID
	case "type":
		return &h.TypeAttr
	case "xmlns":
		return &h.XMLNS
	case "xml:lang":
		return &h.Lang
	}
	return nil
}

// nested notes what a start tag below the top tells the router.
func (s *Scanner) nested(b []byte, h *Header, ref int32) {
	c := &s.cur
	parent := s.own
	s.own = parent && c.colon == 0 && s.content(ref)
	if s.own && c.declares && s.declaresDefault(b) {
		h.Flags |= FlagNestedNS
		h.content = s.header.NS
	}
	if len(s.stack) > 1 {
		return
	}
	if h.Children++; h.Children == 1 {
		h.Child = Span{c.tag, c.end}
	}
	lo := c.lo
	if c.colon != 0 {
		lo = c.colon + 1
	}
	switch local := b[lo:c.hi]; string(local) {
	case "error":
		if s.own {
			h.Flags |= FlagError
		}
	case "addresses":
		var room [128]byte
		if string(s.appendURI(room[:0], b, ref)) == NSAddress {
			h.Flags |= FlagAddresses
		}
	}
}

// declaresDefault tells whether the tag just read has an xmlns attribute without a prefix.
func (s *Scanner) declaresDefault(b []byte) bool {
	for k := range s.attrs {
		if a := &s.attrs[k]; string(b[a.lo:a.hi]) == "xmlns" {
			return true
		}
	}
	return false
}

// typeName is a value of the type attribute.
type typeName struct {
	name string
	t    Type
}

// types lists the values of the type attribute that each kind of stanza knows, the frequent ones first: RFC
// 6120 8.2.3, RFC 6121 4.7.1 and 5.2.2.
var types = [...][]typeName{
	Other: nil,
	Message: {
		{"chat", TypeChat}, {"groupchat", TypeGroupchat}, {"normal", TypeNormal}, {"headline", TypeHeadline}, {"error", TypeError},
	},
	Presence: {
		{"unavailable", TypeUnavailable}, {"error", TypeError}, {"probe", TypeProbe}, {"subscribe", TypeSubscribe},
		{"subscribed", TypeSubscribed}, {"unsubscribe", TypeUnsubscribe}, {"unsubscribed", TypeUnsubscribed},
	},
	IQ: {{"result", TypeResult}, {"get", TypeGet}, {"set", TypeSet}, {"error", TypeError}},
}

// typeOf reads the type attribute.
func typeOf(b []byte, h *Header) Type {
	if !h.TypeAttr.Set() {
		return TypeNone
	}
	v := b[h.TypeAttr.Value.Lo:h.TypeAttr.Value.Hi]
	if h.TypeAttr.Escaped {
		var room [64]byte
		v = AppendUnescaped(room[:0], v)
	}
	for i := range types[h.Kind] {
		if known := &types[h.Kind][i]; known.name == string(v) {
			return known.t
		}
	}
	return TypeUnknown
}

// Local gives the local name of the top-level element.
func (h *Header) Local() []byte {
	name := h.In(h.Name)
	for i, c := range name {
		if c == ':' {
			return name[i+1:]
		}
	}
	return name
}
