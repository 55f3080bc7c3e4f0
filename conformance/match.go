package conformance

import (
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// matcher compares what has come with what must come. It is pure but for what it keeps.
type matcher struct {
	value func(name string) string
	kept  map[string]string
}

// match compares one item. It gives where in the play it does not hold, and what came instead.
func (m *matcher) match(w *what, it item) (at place, got string, ok bool) {
	e := it.ev.Element
	switch {
	case w.kind == wEOF || w.kind == wGone:
		return w.at, describe(it), it.over
	case it.over || it.err != nil:
		return w.at, describe(it), false
	case w.kind == wEnd:
		return w.at, describe(it), it.ev.Kind == wire.End
	case w.kind == wHeader:
		if it.ev.Kind != wire.Header || e.Name != (wire.Name{Space: nsStream, Local: "stream"}) {
			return w.at, describe(it), false
		}
	case it.ev.Kind != wire.Whole || !m.named(w, e):
		return w.at, describe(it), false
	}
	if w.kind == wXML {
		want, err := wire.Parse(w.xml.expand(m.value), nsComponent, streamPrefixes())
		if err != nil {
			return w.at, err.Error(), false
		}
		d := difference(want, comparable(e, want))
		return w.at, d, d == ""
	}
	for i := range w.marks {
		if got, ok := m.mark(&w.marks[i], e); !ok {
			return w.marks[i].at, got, false
		}
	}
	return w.at, "", true
}

// named reports whether an element is of the kind and the name that must come.
func (m *matcher) named(w *what, e *wire.Element) bool {
	switch w.kind {
	case wHandshake:
		empty := len(e.Children) == 0 && len(e.Attrs) == 0
		return e.Name == wire.Name{Space: nsComponent, Local: "handshake"} && (empty || len(w.marks) > 0)
	case wStanza:
		return e.Name.Local == w.name && isContent(e.Name.Space)
	case wStreamError:
		return e.Name == wire.Name{Space: nsStream, Local: "error"} && slices.Contains(w.conditions, condition(e, nsStreamErrors))
	case wElement:
		return e.Name.Local == w.name && (w.space == "" || e.Name.Space == w.space)
	}
	return w.kind == wXML
}

// isContent reports whether stanzas are in this namespace. There are servers that write jabber:client to components; a case of its own,
// by the mark xmlns, holds them to the right one, and the others can go on.
func isContent(space string) bool { return space == nsComponent || space == nsClient }

// content is a child in the content namespace, nil if there is none.
func content(e *wire.Element, local string) *wire.Element {
	if x := e.Child(nsComponent, local); x != nil {
		return x
	}
	return e.Child(nsClient, local)
}

// comparable is a stanza as it is compared with one that a play writes whole: in the namespace of components, and without an xml:lang
// that a server may have given it (RFC 6120 8.1.5), unless the play names one.
func comparable(e, want *wire.Element) *wire.Element {
	e = inContent(e)
	lang := wire.Name{Space: nsXML, Local: "lang"}
	if _, named := want.Get(lang); !named && e.Name.Space == nsComponent {
		e.Attrs = slices.DeleteFunc(slices.Clone(e.Attrs), func(a wire.Attr) bool { return a.Name == lang })
	}
	return e
}

// inContent is a copy of an element with jabber:component:accept for jabber:client, outside of extensions.
func inContent(e *wire.Element) *wire.Element {
	if !isContent(e.Name.Space) {
		return e
	}
	same := *e
	same.Name.Space = nsComponent
	same.Children = slices.Clone(e.Children)
	for i, n := range same.Children {
		if n.Element != nil {
			same.Children[i].Element = inContent(n.Element)
		}
	}
	return &same
}

// condition is the name of the condition in an error: of the one child in its namespace that is no text. None, or several, are "".
func condition(e *wire.Element, space string) string {
	name := ""
	for _, child := range e.Elements() {
		if child.Name.Space != space || child.Name.Local == "text" {
			continue
		}
		if name != "" {
			return ""
		}
		name = child.Name.Local
	}
	return name
}

// mark compares one mark.
func (m *matcher) mark(k *mark, e *wire.Element) (got string, ok bool) {
	switch k.key {
	case "has", "lacks":
		found := has(e, childOf(k.values[0].expand(m.value)))
		return map[bool]string{true: "one such child", false: "no such child"}[found], found == (k.key == "has")
	case "payload":
		return m.payload(k, e)
	case "error":
		kind, condition := stanzaError(e)
		got = kind + "/" + condition
		if kind == "" {
			got = "absent"
		}
		ok = slices.ContainsFunc(k.values, func(t template) bool { return errorFits(t.expand(m.value), kind, condition) })
		return "error=" + got, ok || m.typeWide(k, kind, condition)
	}
	value, there := valueOf(k.key, e)
	if k.keep != "" {
		m.kept[k.keep] = value
		return k.key + "=absent", there
	}
	ok = slices.ContainsFunc(k.values, func(t template) bool {
		switch want := t.expand(m.value); want {
		case "any":
			return there
		case "absent":
			return !there
		default:
			return there && value == want
		}
	})
	if !there {
		return k.key + "=absent", ok
	}
	return k.key + "=" + quoted(value), ok
}

// typeWide reads wait|cancel/x as wait/x or cancel/x.
func (m *matcher) typeWide(k *mark, kind, condition string) bool {
	last := k.values[len(k.values)-1].expand(m.value)
	_, want, _ := strings.Cut(last, "/")
	return slices.ContainsFunc(k.values, func(t template) bool {
		v := t.expand(m.value)
		return !strings.Contains(v, "/") && errorFits(v+"/"+want, kind, condition)
	})
}

// errorFits compares an error with TYPE/CONDITION; * is any type, and any condition that is defined.
func errorFits(want, kind, condition string) bool {
	t, c, ok := strings.Cut(want, "/")
	return ok && kind != "" && (t == "*" || t == kind) && (c == condition || c == "*" && slices.Contains(stanzaConditions, condition))
}

// stanzaError gives type and condition of the error in a stanza, empty if there is none (RFC 6120 8.3.2).
func stanzaError(e *wire.Element) (kind, cond string) {
	x := content(e, "error")
	if t, _ := e.Attr("type"); x == nil || t != "error" {
		return "", ""
	}
	kind, _ = x.Attr("type")
	return kind, condition(x, nsStanzaErrors)
}

// valueOf is what a key speaks of: an attribute, or a text.
func valueOf(key string, e *wire.Element) (value string, there bool) {
	switch key {
	case "body":
		if b := content(e, "body"); b != nil {
			return b.Text(), true
		}
		return "", false
	case "text":
		if e.Name == (wire.Name{Space: nsStream, Local: "error"}) {
			t := e.Child(nsStreamErrors, "text")
			if t == nil {
				return "", false
			}
			return t.Text(), true
		}
		return e.Text(), true
	case "xmlns":
		return e.Name.Space, true
	case "xml:lang":
		return e.Get(wire.Name{Space: nsXML, Local: "lang"})
	}
	return e.Attr(key)
}

// child is what has and lacks speak of: name@namespace[attribute=value], of which all but the name may be missing.
type child struct {
	local, space, key, value string
	spaced, keyed            bool
}

func childOf(text string) child {
	var c child
	text, attr, _ := strings.Cut(strings.TrimSuffix(text, "]"), "[")
	c.local, c.space, c.spaced = strings.Cut(text, "@")
	c.key, c.value, c.keyed = strings.Cut(attr, "=")
	return c
}

// fits reports whether an element is the child.
func (c child) fits(e *wire.Element) bool {
	value, there := e.Attr(c.key)
	if c.key == "xml:lang" {
		value, there = e.Get(wire.Name{Space: nsXML, Local: "lang"})
	}
	return e.Name.Local == c.local && (!c.spaced || e.Name.Space == c.space) && (!c.keyed || there && (c.value == "any" || value == c.value))
}

// has reports whether there is such a child, at any depth. It does not call itself: an element may be as deep as it is long.
func has(e *wire.Element, c child) bool {
	left := e.Elements()
	for len(left) > 0 {
		x := left[len(left)-1]
		if c.fits(x) {
			return true
		}
		left = append(left[:len(left)-1], x.Elements()...)
	}
	return false
}

// payload compares the children with one that must be there alone.
func (m *matcher) payload(k *mark, e *wire.Element) (got string, ok bool) {
	want, err := wire.Parse(k.values[0].expand(m.value), nsComponent, streamPrefixes())
	if err != nil {
		return err.Error(), false
	}
	d := payloads(want, e.Elements())
	return d, d == ""
}
