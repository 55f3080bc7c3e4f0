package server_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	nsComponent = "jabber:component:accept"
	nsStream    = "http://etherx.jabber.org/streams"
	nsStreams   = "urn:ietf:params:xml:ns:xmpp-streams"
	nsStanzas   = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
)

// element is one XML element with its names resolved.
type element struct {
	name  xml.Name
	attrs map[xml.Name]string
	kids  []any // *element or string
}

// begin makes an element of a start tag; encoding/xml lets an attribute be given twice, we do not.
func begin(start xml.StartElement) (*element, error) {
	e := &element{name: start.Name, attrs: map[xml.Name]string{}}
	for _, a := range start.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		if _, twice := e.attrs[a.Name]; twice {
			return nil, fmt.Errorf("the attribute %s is given twice", a.Name.Local)
		}
		e.attrs[a.Name] = a.Value
	}
	return e, nil
}

// readElement reads the rest of the element that start opens.
func readElement(d *xml.Decoder, start xml.StartElement) (*element, error) {
	e, err := begin(start)
	for err == nil {
		var tok xml.Token
		if tok, err = d.Token(); err != nil {
			break
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			var kid *element
			if kid, err = readElement(d, tok); err == nil {
				e.kids = append(e.kids, kid)
			}
		case xml.EndElement:
			return e, nil
		case xml.CharData:
			e.text(string(tok))
		default:
			err = fmt.Errorf("there is a %T", tok)
		}
	}
	return nil, err
}

// text appends text; neighbouring pieces are one.
func (e *element) text(s string) {
	if n := len(e.kids); n > 0 {
		if last, ok := e.kids[n-1].(string); ok {
			e.kids[n-1] = last + s
			return
		}
	}
	e.kids = append(e.kids, s)
}

// child gives the first child element of a name, or nil.
func (e *element) child(space, local string) *element {
	for _, k := range e.kids {
		if kid, ok := k.(*element); ok && kid.name == (xml.Name{Space: space, Local: local}) {
			return kid
		}
	}
	return nil
}

// content gives the text of an element.
func (e *element) content() string {
	text := ""
	for _, k := range e.kids {
		if s, ok := k.(string); ok {
			text += s
		}
	}
	return text
}

// An error as the server makes it: RFC 6120 8.3.2.
var errorMacro = regexp.MustCompile(`\{error (\w+)/([\w-]+)(?: and (<[^{}]*>))?\}`)

const errorElement = `<error type='$1' by='` + hub + `'><$2 xmlns='` + nsStanzas + `'/>` +
	`<text xmlns='` + nsStanzas + `' xml:lang='en'>*</text>$3</error>`

// parseElement reads what a scene expects. A stream header may lack its closing tag.
func parseElement(text string) (*element, error) {
	text = errorMacro.ReplaceAllString(text, errorElement)
	if strings.HasPrefix(text, "<stream:stream") {
		text += "</stream:stream>"
	}
	d := xml.NewDecoder(strings.NewReader("<w xmlns='" + nsComponent + "' xmlns:stream='" + nsStream + "'>" + text + "</w>"))
	for depth := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			if depth++; depth == 2 {
				return readElement(d, start)
			}
		}
		if _, ok := tok.(xml.EndElement); ok {
			return nil, errors.New("there is no element")
		}
	}
}

// match holds what was received against what is expected; vars are bound as they appear.
func (e *element) match(got *element, vars map[string]string) error {
	if e.name != got.name {
		return fmt.Errorf("the element is {%s}%s instead of {%s}%s", got.name.Space, got.name.Local, e.name.Space, e.name.Local)
	}
	for name, want := range e.attrs {
		have, ok := got.attrs[name]
		if !ok {
			return fmt.Errorf("%s lacks the attribute %s", e.name.Local, name.Local)
		}
		if !same(want, have, vars) {
			return fmt.Errorf("%s of %s is %q instead of %q", name.Local, e.name.Local, have, want)
		}
	}
	for name := range got.attrs {
		if _, ok := e.attrs[name]; !ok {
			return fmt.Errorf("%s has an attribute %s", e.name.Local, name.Local)
		}
	}
	return e.matchKids(got, vars)
}

func (e *element) matchKids(got *element, vars map[string]string) error {
	if slices.Contains(e.kids, any("{any}")) {
		return nil
	}
	for i, want := range e.kids {
		if i >= len(got.kids) {
			return fmt.Errorf("%s lacks its child number %d", e.name.Local, i+1)
		}
		switch want := want.(type) {
		case *element:
			have, ok := got.kids[i].(*element)
			if !ok {
				return fmt.Errorf("%s has the text %q instead of %s", e.name.Local, got.kids[i], want.name.Local)
			}
			if err := want.match(have, vars); err != nil {
				return err
			}
		case string:
			if have, ok := got.kids[i].(string); !ok || !same(want, have, vars) {
				return fmt.Errorf("the text of %s is %q instead of %q", e.name.Local, got.kids[i], want)
			}
		}
	}
	if len(got.kids) > len(e.kids) {
		return fmt.Errorf("%s has more than %d children", e.name.Local, len(e.kids))
	}
	return nil
}

// variable is {name} in a scene.
var variable = regexp.MustCompile(`\{([a-z]\w*)\}`)

// same compares a text with a pattern: * is anything, {name} is bound at its first appearance.
func same(want, have string, vars map[string]string) bool {
	if want == "*" {
		return have != ""
	}
	if m := variable.FindStringSubmatch(want); m != nil && m[0] == want {
		if _, bound := vars[m[1]]; !bound {
			vars[m[1]] = have
			return have != ""
		}
	}
	return have == variable.ReplaceAllStringFunc(want, func(v string) string {
		if value, ok := vars[v[1:len(v)-1]]; ok {
			return value
		}
		return v
	})
}
