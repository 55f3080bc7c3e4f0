package conformance

import (
	"strings"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// difference says, in the words of the language, where an element first differs from what was wanted; "" if it does not.
func difference(want, got *wire.Element) string {
	if want.Name != got.Name {
		return "<" + got.Name.Local + "/> of " + quoted(got.Name.Space) + " for <" + want.Name.Local + "/> of " + quoted(want.Name.Space)
	}
	in := "<" + want.Name.Local + "/>: "
	for _, a := range want.Attrs {
		if value, there := got.Get(a.Name); !there || value != a.Value {
			return in + a.Name.Local + "=" + shown(value, there) + " for " + quoted(a.Value)
		}
	}
	for _, a := range got.Attrs {
		if _, there := want.Get(a.Name); !there {
			return in + a.Name.Local + "=" + quoted(a.Value) + " for absent"
		}
	}
	w, g := want.Elements(), got.Elements()
	for i := range min(len(w), len(g)) {
		if d := difference(w[i], g[i]); d != "" {
			return d
		}
	}
	switch {
	case len(w) > len(g):
		return in + "no <" + w[len(g)].Name.Local + "/>"
	case len(g) > len(w):
		return in + "one more, <" + g[len(w)].Name.Local + "/>"
	case !wire.Equal(want, got):
		return in + "text " + quoted(cut(got.Text(), 100)) + " for " + quoted(cut(want.Text(), 100))
	}
	return ""
}

// shown is a value as a mark writes it.
func shown(value string, there bool) string {
	if !there {
		return "absent"
	}
	return quoted(value)
}

// payloads says where the children of an element differ from the one that must be there alone.
func payloads(want *wire.Element, children []*wire.Element) string {
	if len(children) == 1 {
		return difference(want, children[0])
	}
	var names strings.Builder
	for _, c := range children {
		names.WriteString("<" + c.Name.Local + "/>")
	}
	return quoted(names.String()) + " for one child"
}
