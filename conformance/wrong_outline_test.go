package conformance_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// breach gives the reason of a syntax error.
func breach(err error) reason {
	var syntax *wire.SyntaxError
	if !errors.As(err, &syntax) {
		return notWellFormed
	}
	switch syntax.Kind {
	case wire.Restricted:
		return restricted
	case wire.NotUTF8:
		return notUTF8
	case wire.TooLong:
		return tooLong
	}
	return notWellFormed
}

var declaration = regexp.MustCompile(`^\s*<\?xml([^>]*)\?>`)
var pseudo = regexp.MustCompile(`(version|encoding)\s*=\s*['"]([^'"]*)['"]`)

// declared looks at the XML declaration (RFC 6120 11.5, 11.6, 11.8). It reports false when the stream has ended.
func (l *link) declared() bool {
	m := declaration.FindSubmatch(l.reader.Buffered())
	if m == nil {
		return true
	}
	for _, p := range pseudo.FindAllStringSubmatch(string(m[1]), -1) {
		switch {
		case p[1] == "version" && p[2] != "1.0" && strings.HasPrefix(p[2], "1."):
			l.refuse(otherXML)
		case p[1] == "encoding" && !strings.EqualFold(p[2], "utf-8"):
			l.refuse(otherEncoding)
		}
	}
	return !l.ended()
}

// outline looks over an element that need not be whole: how deep its elements are, and the name of the first.
func outline(b []byte) (deepest int, first string) {
	depth := 0
	for i := bytes.IndexByte(b, '<'); i >= 0; {
		tag, size := cutTag(b[i:])
		switch {
		case size < 2 || tag[1] == '!' || tag[1] == '?':
		case tag[1] == '/':
			depth--
		default:
			depth++
			deepest = max(deepest, depth)
			if first == "" {
				first = nameOf(tag)
			}
			if bytes.HasSuffix(tag, []byte("/>")) {
				depth--
			}
		}
		next := bytes.IndexByte(b[i+size:], '<')
		if next < 0 {
			break
		}
		i += size + next
	}
	return deepest, first
}

// cutTag gives the tag at the beginning of b, up to its >, which may stand in a quoted value; or all of b.
func cutTag(b []byte) (tag []byte, size int) {
	quote := byte(0)
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '>':
			return b[:i+1], i + 1
		}
	}
	return b, len(b)
}

// nameOf is the name that an opening tag begins with.
func nameOf(tag []byte) string {
	if end := bytes.IndexAny(tag, " \t\r\n/>"); end > 0 {
		tag = tag[:end]
	}
	return string(tag[1:])
}

// attrs is the greatest number of attributes of one tag.
func attrs(e *wire.Element) int {
	most := len(e.Attrs)
	for _, child := range e.Elements() {
		most = max(most, attrs(child))
	}
	return most
}
