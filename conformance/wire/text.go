package wire

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parse reads one element, with nothing but white space around it. In it the namespace without a prefix is defaultNS, and
// the prefixes (of namespaces) are bound. The error is a *SyntaxError, or says that there is no element, or more than one.
func Parse(text, defaultNS string, prefixes map[string]string) (*Element, error) {
	r := NewReader(len(text) + 1)
	for _, prefix := range slices.Sorted(maps.Keys(prefixes)) {
		if err := r.declare(attribute{tag: "xmlns:" + prefix, value: prefixes[prefix]}); err != nil {
			return nil, err
		}
	}
	r.scope[""] = []string{defaultNS}
	r.header, r.open, r.in = &Element{}, []open{{element: &Element{}}}, atContent
	r.Feed([]byte(strings.TrimRight(text, "\r"))) // a CR alone may be half of a line end
	var found *Element
	for {
		ev, err := r.Next()
		switch {
		case errors.Is(err, ErrMore) && len(r.Buffered()) > 0:
			return nil, fmt.Errorf("parse an element: %q is not whole", r.Buffered())
		case errors.Is(err, ErrMore) && found == nil:
			return nil, errors.New("parse an element: there is none")
		case errors.Is(err, ErrMore):
			return found, nil
		case err != nil:
			return nil, err
		case ev.Kind == Whole && found == nil:
			found = ev.Element
		case ev.Kind == Text && strings.Trim(ev.Text, " \t\r\n") == "":
		default:
			return nil, fmt.Errorf("parse an element: %q is more than one", ev.Raw)
		}
	}
}

var (
	escapeText  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	escapeValue = strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;", "\t", "&#9;", "\n", "&#10;", "\r", "&#13;")
)

// String is e as XML that is the same for all elements that are equal but for white space: attributes in the order of their
// names, no prefix but for attributes in a namespace, a declaration where the namespace changes. It is for people who look
// at a fault, and Parse understands it.
func (e *Element) String() string {
	var out strings.Builder
	stack := []printing{{e: e, tag: printOpening(&out, e, nil)}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == len(top.e.Children) {
			if top.next > 0 {
				fmt.Fprintf(&out, "</%s>", top.tag)
			}
			stack = stack[:len(stack)-1]
			continue
		}
		n := top.e.Children[top.next]
		top.next++
		if n.Element == nil {
			_, _ = escapeText.WriteString(&out, n.Text)
			continue
		}
		space := top.e.Name.Space
		stack = append(stack, printing{e: n.Element, tag: printOpening(&out, n.Element, &space)})
	}
	return out.String()
}

// printing is an element that String has begun.
type printing struct {
	e    *Element
	next int // of its children
	tag  string
}

// printOpening writes the opening tag of an element, and gives its name. outer is the namespace around it, nil if there is none.
func printOpening(out *strings.Builder, e *Element, outer *string) string {
	tag := e.Name.Local
	if e.Name.Space == spaceXML {
		tag = "xml:" + tag
	}
	out.WriteString("<" + tag)
	// Below an element of the namespace of xml, which none declares, what is declared is not known here.
	if e.Name.Space != spaceXML && (outer == nil || *outer != e.Name.Space) {
		fmt.Fprintf(out, " xmlns='%s'", escapeValue.Replace(e.Name.Space))
	}
	attrs := slices.SortedFunc(slices.Values(e.Attrs), func(a, b Attr) int {
		return cmp.Or(cmp.Compare(a.Name.Space, b.Name.Space), cmp.Compare(a.Name.Local, b.Name.Local))
	})
	for i, a := range attrs {
		name := a.Name.Local
		switch {
		case a.Name.Space == spaceXML:
			name = "xml:" + name
		case a.Name.Space != "":
			fmt.Fprintf(out, " xmlns:n%d='%s'", i, escapeValue.Replace(a.Name.Space))
			name = fmt.Sprintf("n%d:%s", i, name)
		}
		fmt.Fprintf(out, " %s='%s'", name, escapeValue.Replace(a.Value))
	}
	if len(e.Children) == 0 {
		out.WriteByte('/')
	}
	out.WriteByte('>')
	return tag
}
