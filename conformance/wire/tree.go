package wire

import (
	"iter"
	"strings"
)

// Attr is the value of the attribute without a namespace of this name.
func (e *Element) Attr(local string) (value string, ok bool) { return e.Get(Name{Local: local}) }

// Get is the value of an attribute; xml:lang is {http://www.w3.org/XML/1998/namespace}lang.
func (e *Element) Get(name Name) (value string, ok bool) {
	for _, a := range e.Attrs {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// Text is the element's own text, without that of its children.
func (e *Element) Text() string {
	var text strings.Builder
	for _, n := range e.Children {
		text.WriteString(n.Text)
	}
	return text.String()
}

// Elements gives the children that are elements.
func (e *Element) Elements() []*Element {
	var all []*Element
	for _, n := range e.Children {
		if n.Element != nil {
			all = append(all, n.Element)
		}
	}
	return all
}

// Child is the first child of this name, nil without one; the space "" is any.
func (e *Element) Child(space, local string) *Element {
	for _, child := range e.Elements() {
		if child.named(space, local) {
			return child
		}
	}
	return nil
}

// Find is the first element of this name below e, at any depth, in document order; nil without one. The space "" is any.
func (e *Element) Find(space, local string) *Element {
	for below := range e.below() {
		if below.named(space, local) {
			return below
		}
	}
	return nil
}

func (e *Element) named(space, local string) bool {
	return e.Name.Local == local && (space == "" || e.Name.Space == space)
}

// below gives all elements in e, in document order. It does not call itself: an element may be as deep as it is long.
func (e *Element) below() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		stack := []*Element{e}
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if top != e && !yield(top) {
				return
			}
			for i := len(top.Children) - 1; i >= 0; i-- {
				if child := top.Children[i].Element; child != nil {
					stack = append(stack, child)
				}
			}
		}
	}
}

// Equal reports whether two elements say the same: their names, attributes in any order, and children in order, text too.
// Prefixes, quotes and references make no difference. White space makes one, but for that between the children of
// an element that has elements, and no other text, on both sides.
func Equal(a, b *Element) bool {
	stack := [][2]*Element{{a, b}}
	for len(stack) > 0 {
		a, b := stack[len(stack)-1][0], stack[len(stack)-1][1]
		stack = stack[:len(stack)-1]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		as, bs := a.Children, b.Children
		if a.onlyElements() && b.onlyElements() {
			as, bs = elementNodes(as), elementNodes(bs)
		}
		if a.Name != b.Name || !equalAttrs(a, b) || len(as) != len(bs) {
			return false
		}
		for i := range as {
			if as[i].Text != bs[i].Text {
				return false
			}
			stack = append(stack, [2]*Element{as[i].Element, bs[i].Element})
		}
	}
	return true
}

func equalAttrs(a, b *Element) bool {
	if len(a.Attrs) != len(b.Attrs) {
		return false
	}
	values := make(map[Name]string, len(a.Attrs))
	for _, attr := range a.Attrs {
		values[attr.Name] = attr.Value
	}
	for _, attr := range b.Attrs {
		if value, ok := values[attr.Name]; !ok || value != attr.Value {
			return false
		}
	}
	return true
}

// onlyElements reports whether e has elements, and between them no text but white space.
func (e *Element) onlyElements() bool {
	return len(elementNodes(e.Children)) > 0 && strings.Trim(e.Text(), " \t\r\n") == ""
}

func elementNodes(nodes []Node) []Node {
	var all []Node
	for _, n := range nodes {
		if n.Element != nil {
			all = append(all, n)
		}
	}
	return all
}
