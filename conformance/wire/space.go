package wire

import "strings"

// The names that are bound without a declaration (Namespaces in XML 1.0, 3).
const (
	spaceXML   = "http://www.w3.org/XML/1998/namespace"
	spaceXMLNS = "http://www.w3.org/2000/xmlns/"
)

// resolve makes an element of the tag that was read: it binds what is declared there, and expands the names.
func (r *Reader) resolve() (*Element, *SyntaxError) {
	seen := make(map[string]bool, len(r.attrs))
	for _, a := range r.attrs {
		if seen[a.tag] {
			return nil, r.wrongAt(a.at, NotWellFormed, "the attribute %s twice", a.tag)
		}
		seen[a.tag] = true
	}
	for _, a := range r.attrs {
		if err := r.declare(a); err != nil {
			return nil, err
		}
	}
	e := &Element{}
	var err *SyntaxError
	if e.Name, e.Prefix, err = r.expand(r.tag, r.less, true); err != nil {
		return nil, err
	}
	names := make(map[Name]bool, len(r.attrs))
	for _, a := range r.attrs {
		if _, declares := declared(a.tag); declares {
			continue
		}
		name, _, err := r.expand(a.tag, a.at, false)
		switch {
		case err != nil:
			return nil, err
		case names[name]:
			return nil, r.wrongAt(a.at, NotNamespaced, "the attribute %s of the namespace %q twice", name.Local, name.Space)
		}
		names[name] = true
		e.Attrs = append(e.Attrs, Attr{name, a.value})
	}
	return e, nil
}

// declared gives the prefix that an attribute of this name declares.
func declared(tag string) (prefix string, ok bool) {
	if tag == "xmlns" {
		return "", true
	}
	return strings.CutPrefix(tag, "xmlns:")
}

// declare binds a prefix, if the attribute does so (Namespaces in XML 1.0, 3 and 5).
func (r *Reader) declare(a attribute) *SyntaxError {
	prefix, ok := declared(a.tag)
	switch {
	case !ok:
		return nil
	case a.tag != "xmlns" && !isNCName(prefix):
		return r.wrongAt(a.at, NotNamespaced, "%s is no qualified name", a.tag)
	case prefix == "xmlns":
		return r.wrongAt(a.at, NotNamespaced, "a declaration of the prefix xmlns")
	case (prefix == "xml") != (a.value == spaceXML):
		return r.wrongAt(a.at, NotNamespaced, "%s=%q: the prefix xml and its namespace belong together", a.tag, a.value)
	case a.value == spaceXMLNS:
		return r.wrongAt(a.at, NotNamespaced, "%s=%q: no prefix may be bound to this namespace", a.tag, a.value)
	case prefix != "" && a.value == "":
		return r.wrongAt(a.at, NotNamespaced, "the prefix %s undeclared, which only version 1.1 allows", prefix)
	}
	r.scope[prefix] = append(r.scope[prefix], a.value)
	r.bound = append(r.bound, prefix)
	return nil
}

// unbind takes back all bindings but the first n.
func (r *Reader) unbind(n int) {
	for _, prefix := range r.bound[n:] {
		if rest := r.scope[prefix][:len(r.scope[prefix])-1]; len(rest) > 0 {
			r.scope[prefix] = rest
		} else {
			delete(r.scope, prefix)
		}
	}
	r.bound = r.bound[:n]
}

// expand gives the expanded name of a tag or an attribute. An attribute without a prefix is in no namespace.
func (r *Reader) expand(tag string, at int, element bool) (Name, string, *SyntaxError) {
	prefix, local, qualified := strings.Cut(tag, ":")
	if !qualified {
		prefix, local = "", tag
	}
	if !isNCName(local) || qualified && !isNCName(prefix) {
		return Name{}, "", r.wrongAt(at, NotNamespaced, "%s is no qualified name", tag)
	}
	if !qualified && !element {
		return Name{Local: local}, "", nil
	}
	uris := r.scope[prefix]
	switch {
	case len(uris) == 0:
		return Name{}, "", r.wrongAt(at, NotNamespaced, "the prefix %s is not declared", prefix)
	case prefix == "xmlns":
		return Name{}, "", r.wrongAt(at, NotNamespaced, "an element with the prefix xmlns")
	}
	return Name{uris[len(uris)-1], local}, prefix, nil
}
