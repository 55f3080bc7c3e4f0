package stanza

import "bytes"

// Walker visits the start tags of an element that a Scanner has passed, in document order and in place: it
// checks nothing again. It is a value, and a copy goes on by itself. It allocates only below depth 16.
type Walker struct {
	// Prefixes of the stream header (StreamHeader.Prefixes): needed only to resolve namespaces in stanzas that
	// use them (FlagRootPrefix).
	Prefixes []Prefix

	raw   []byte
	end   int       // behind the '>' of the current start tag; 0 before the first
	depth int       // of the current element; the top is 1
	open  [16]int32 // the '<' of the current start tag and of its ancestors, by depth
	deep  []int32   // the same below depth 16
}

// Walk gives a Walker over the top-level element and what is in it.
func (h *Header) Walk() Walker { return WalkBytes(h.Raw) }

// WalkBytes gives a Walker over one whole element that a Scanner has passed, for instance Walker.Element.
func WalkBytes(element []byte) Walker { return Walker{raw: element} }

// Next goes to the next start tag and tells whether there is one. The first is the top-level element itself.
func (w *Walker) Next() bool {
	depth := w.depth
	if w.end == 0 {
		return len(w.raw) > 0 && w.begin(0, 1)
	}
	if w.empty() {
		depth--
	}
	for i := w.end; depth > 0; {
		k := bytes.IndexByte(w.raw[i:], '<')
		if k < 0 {
			break
		}
		i += k
		switch w.raw[i+1] {
		case '/':
			depth--
			i = tagEnd(w.raw, i)
		case '!':
			i = cdataEnd(w.raw, i)
		default:
			return w.begin(i, depth+1)
		}
	}
	w.raw, w.depth = nil, 0
	w.end = 0
	return false
}

// begin makes the start tag at i the current one.
func (w *Walker) begin(i, depth int) bool {
	if w.depth = depth; depth <= len(w.open) {
		w.open[depth-1] = int32(i)
	} else {
		w.deep = append(w.deep[:depth-len(w.open)-1:depth-len(w.open)-1], int32(i)) // a copy of w may share it
	}
	w.end = tagEnd(w.raw, i)
	return true
}

// tag gives the '<' of the start tag at a depth.
func (w *Walker) tag(depth int) int {
	if depth <= len(w.open) {
		return int(w.open[depth-1])
	}
	return int(w.deep[depth-len(w.open)-1])
}

// empty tells whether the current start tag is an empty-element tag; only there '/' can precede the '>'.
func (w *Walker) empty() bool { return w.raw[w.end-2] == '/' }

// Depth is that of the current element; the top-level element's is 1.
func (w *Walker) Depth() int { return w.depth }

// Name gives the qualified name of the current element.
func (w *Walker) Name() []byte {
	t := tagAt(w.raw, w.tag(w.depth))
	return t.element
}

// Local gives the local name of the current element.
func (w *Walker) Local() []byte {
	name := w.Name()
	return name[bytes.IndexByte(name, ':')+1:]
}

// Space gives the namespace of the current element. A content namespace (none in scope, or jabber:client,
// jabber:server or jabber:component:accept spelled out) is given as NSClient, so that the caller needs no
// knowledge of the link; xmlns=” is empty. A prefix of the stream header that Prefixes does not have is empty.
// It reads the start tags of all open elements: look at Local first, where many elements are walked.
func (w *Walker) Space() []byte {
	name := w.Name()
	prefix := name[:max(bytes.IndexByte(name, ':'), 0)]
	uri, ok := w.binding(prefix)
	switch {
	case !ok && len(prefix) == 0, string(uri) == NSComponent, string(uri) == NSServer:
		return clientSpace
	case ok:
		return uri
	case string(prefix) == "xml":
		return []byte(NSXML)
	}
	for i := range w.Prefixes {
		if w.Prefixes[i].Name == string(prefix) {
			return []byte(w.Prefixes[i].URI)
		}
	}
	return nil
}

var clientSpace = []byte(NSClient)

// binding looks for the declaration of a prefix, or of the default namespace, from the current element upwards.
func (w *Walker) binding(prefix []byte) (uri []byte, ok bool) {
	for d := w.depth; d > 0; d-- {
		for t := tagAt(w.raw, w.tag(d)); t.next(); {
			if declares(t.name, prefix) {
				return unescaped(t.value, t.escaped()), true
			}
		}
	}
	return nil, false
}

// declares tells whether an attribute name is the declaration of a prefix, or of the default namespace.
func declares(name, prefix []byte) bool {
	if len(prefix) == 0 {
		return string(name) == "xmlns"
	}
	return len(name) == len("xmlns:")+len(prefix) && string(name[:6]) == "xmlns:" && string(name[6:]) == string(prefix)
}

// Attr gives the value of the attribute with this name (as written: "jid", "xml:lang"). Escaped means that
// AppendUnescaped is needed to have its meaning.
func (w *Walker) Attr(name string) (value []byte, escaped, ok bool) {
	for t := tagAt(w.raw, w.tag(w.depth)); t.next(); {
		if string(t.name) == name {
			return t.value, t.escaped(), true
		}
	}
	return nil, false, false
}

// Element gives the bytes of the whole current element. Its prefixes may be declared outside of it.
func (w *Walker) Element() []byte {
	lo, _, hi := w.bounds()
	return w.raw[lo:hi]
}

// Inner gives the bytes between the tags of the current element.
func (w *Walker) Inner() []byte {
	_, inner, _ := w.bounds()
	return w.raw[w.end:inner]
}

// Bounds gives where the current element lies in the bytes that are walked, and where its content does: between
// its tags, or, for an empty-element tag, nowhere behind it.
func (w *Walker) Bounds() (element, content Span) {
	lo, inner, hi := w.bounds()
	return Span{int32(lo), int32(hi)}, Span{int32(w.end), int32(inner)}
}

// bounds gives where the current element begins, where its end tag does, and where it ends.
func (w *Walker) bounds() (lo, endTag, hi int) {
	lo = w.tag(w.depth)
	if w.empty() {
		return lo, w.end, w.end
	}
	i, depth := w.end, 1
	for {
		k := bytes.IndexByte(w.raw[i:], '<')
		if k < 0 {
			return lo, len(w.raw), len(w.raw)
		}
		i += k
		if w.raw[i+1] == '!' {
			i = cdataEnd(w.raw, i)
			continue
		}
		end := tagEnd(w.raw, i)
		switch {
		case w.raw[i+1] != '/':
			if w.raw[end-2] != '/' {
				depth++
			}
		case depth == 1:
			return lo, i, end
		default:
			depth--
		}
		i = end
	}
}

// Text gives the character data of the current element as written. Escaped means that it has references, line
// ends, CDATA sections or child elements, and AppendText is needed to have its meaning.
func (w *Walker) Text() (raw []byte, escaped bool) {
	raw = w.Inner()
	return raw, bytes.IndexByte(raw, '<') >= 0 || bytes.IndexByte(raw, '&') >= 0 || bytes.IndexByte(raw, '\r') >= 0
}

// AppendText appends the character data of the current element, CDATA sections included and child elements
// left out.
func (w *Walker) AppendText(dst []byte) []byte {
	depth, b := 0, w.Inner()
	for len(b) > 0 {
		k := bytes.IndexByte(b, '<')
		if k < 0 {
			k = len(b)
		}
		if depth == 0 {
			dst = AppendUnescapedText(dst, b[:k])
		}
		if b = b[k:]; len(b) == 0 {
			break
		}
		end := 0
		switch b[1] {
		case '!':
			if end = cdataEnd(b, 0); depth == 0 {
				dst = appendLines(dst, b[len("<![CDATA["):end-len("]]>")])
			}
		case '/':
			end = tagEnd(b, 0)
			depth--
		default:
			if end = tagEnd(b, 0); b[end-2] != '/' {
				depth++
			}
		}
		b = b[end:]
	}
	return dst
}

// tag goes over the attributes of one start tag that a Scanner has passed.
type tag struct {
	raw         []byte
	i           int // behind the name or the last attribute
	element     []byte
	outer       int // white space before the attribute
	name, value []byte
}

// tagAt begins at the '<' of a start tag.
func tagAt(b []byte, lo int) tag {
	i := lo + 1
	for class[b[i]]&isSpace == 0 && b[i] != '>' && b[i] != '/' {
		i++
	}
	return tag{raw: b, i: i, element: b[lo+1 : i]}
}

// next goes to the next attribute.
func (t *tag) next() bool {
	b, i := t.raw, t.i
	t.outer = i
	for class[b[i]]&isSpace != 0 {
		i++
	}
	if b[i] == '>' || b[i] == '/' {
		return false
	}
	lo := i
	for b[i] != '=' && class[b[i]]&isSpace == 0 {
		i++
	}
	t.name = b[lo:i]
	for b[i] != '\'' && b[i] != '"' {
		i++
	}
	n := bytes.IndexByte(b[i+1:], b[i])
	t.value = b[i+1 : i+1+n]
	t.i = i + n + 2
	return true
}

// escaped tells whether the value differs from its meaning.
func (t *tag) escaped() bool {
	for _, c := range t.value {
		if c == '&' || c < 0x20 {
			return true
		}
	}
	return false
}

// tagEnd gives the index behind the '>' of the tag at i. A '>' may stand in an attribute value.
func tagEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; c {
		case '>':
			return i + 1
		case '\'', '"':
			i += 1 + bytes.IndexByte(b[i+1:], c)
		}
	}
	return i
}

// cdataEnd gives the index behind the CDATA section at i.
func cdataEnd(b []byte, i int) int { return i + bytes.Index(b[i:], []byte("]]>")) + len("]]>") }
