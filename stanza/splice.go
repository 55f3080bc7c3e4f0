package stanza

import (
	"bytes"
	"slices"
)

// Edit is what changes when a stanza goes on to another stream. The zero Edit only makes it independent of
// the stream it came from.
type Edit struct {
	To, From []byte   // canonical addresses, not escaped; nil leaves what is written
	Lang     string   // xml:lang of the stream header, for a stanza that has none of its own (RFC 6120 4.7.4)
	Prefixes []Prefix // of the stream header: those in Header.RootPrefixes are declared on the stanza
}

// NeedsEdit tells whether the stanza cannot go on to another stream as it is, whatever its addresses.
func (h *Header) NeedsEdit() bool {
	return h.Flags&(FlagXMLNS|FlagNestedNS|FlagRootPrefix) != 0
}

// AppendEdited appends the stanza as it goes on: without declarations of the content namespace, so that it
// takes that of the stream it is written to, with the prefixes and the language that it had from its own
// stream, and with new addresses if e has them. Everything else stays byte by byte as it was. It allocates
// nothing but what dst needs.
func (h *Header) AppendEdited(dst []byte, e *Edit) []byte {
	var room [3]cut
	cuts := room[:0]
	if h.Flags&FlagXMLNS != 0 {
		cuts = append(cuts, cut{span: h.XMLNS.Outer})
	}
	for _, a := range [...]struct {
		attr Attr
		want []byte
	}{{h.To, e.To}, {h.From, e.From}} {
		if a.want != nil && a.attr.Set() {
			cuts = append(cuts, cut{span: a.attr.Value, put: a.want})
		}
	}
	slices.SortFunc(cuts, func(a, b cut) int { return int(a.span.Lo - b.span.Lo) })

	dst = append(dst, h.Raw[:h.NameEnd]...)
	dst = h.appendMissing(dst, e)
	at := h.NameEnd
	for _, c := range cuts {
		dst = append(dst, h.Raw[at:c.span.Lo]...)
		dst = AppendEscaped(dst, c.put)
		at = c.span.Hi
	}
	if h.Flags&FlagNestedNS != 0 {
		return h.appendNested(dst, at)
	}
	return append(dst, h.Raw[at:]...)
}

// cut is a part of the top-level start tag that is replaced.
type cut struct {
	span Span
	put  []byte
}

// appendMissing appends the attributes and declarations that the start tag has to get.
func (h *Header) appendMissing(dst []byte, e *Edit) []byte {
	if e.To != nil && !h.To.Set() {
		dst = appendAttr(dst, "to", e.To)
	}
	if e.From != nil && !h.From.Set() {
		dst = appendAttr(dst, "from", e.From)
	}
	if e.Lang != "" && !h.Lang.Set() {
		dst = appendAttr(dst, "xml:lang", e.Lang)
	}
	for i := range e.Prefixes {
		if h.RootPrefixes&(1<<i) != 0 {
			dst = append(append(dst, " xmlns:"...), e.Prefixes[i].Name...)
			dst = appendValue(dst, e.Prefixes[i].URI)
		}
	}
	return dst
}

// appendAttr appends an attribute, with a space before it.
func appendAttr[T string | []byte](dst []byte, name string, value T) []byte {
	return appendValue(append(append(dst, ' '), name...), value)
}

// appendValue appends what follows an attribute's name.
func appendValue[T string | []byte](dst []byte, value T) []byte {
	dst = appendEscaped(append(dst, "='"...), value, true)
	return append(dst, '\'')
}

// appendNested appends Raw from index at on, which is in the top-level start tag or behind it, and leaves out
// the declarations of the content namespace in the stanza's own content: what the flag FlagNestedNS is about.
func (h *Header) appendNested(dst []byte, at int32) []byte {
	w := h.Walk()
	w.Next()
	foreign := 0 // depth of the outermost element of another namespace; 0 outside of any
	for w.Next() {
		if foreign > 0 && w.Depth() > foreign {
			continue
		}
		foreign = 0
		decl, own := h.ownDecl(w.tag(w.Depth()))
		if !own {
			foreign = w.Depth()
		} else if decl.Hi > 0 {
			dst = append(dst, h.Raw[at:decl.Lo]...)
			at = decl.Hi
		}
	}
	return append(dst, h.Raw[at:]...)
}

// ownDecl tells whether the start tag at i, whose parent is in the content namespace, is so too, and gives
// where its default declaration stands, if it has one.
func (h *Header) ownDecl(i int) (decl Span, own bool) {
	t := tagAt(h.Raw, i)
	if bytes.IndexByte(t.element, ':') >= 0 {
		return Span{}, false
	}
	for t.next() {
		if string(t.name) == "xmlns" {
			var room [64]byte
			uri := AppendUnescaped(room[:0], t.value)
			return Span{int32(t.outer), int32(t.i)}, string(uri) == h.content || string(uri) == NSClient
		}
	}
	return Span{}, true
}
