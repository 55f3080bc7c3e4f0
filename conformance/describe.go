package conformance

import (
	"strings"
	"unicode/utf8"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// describe says what has come, in the words of the language.
func describe(it item) string {
	e := it.ev.Element
	switch {
	case it.over:
		return "eof"
	case it.err != nil:
		return "what is not XML: " + it.err.Error()
	case it.ev.Kind == wire.End:
		return "end"
	case it.ev.Kind == wire.Text:
		return "text " + quoted(cut(it.ev.Text, 60))
	case e == nil:
		return "nothing"
	case it.ev.Kind == wire.Header:
		return "header" + attributes(e)
	case e.Name == wire.Name{Space: nsStream, Local: "error"}:
		text, _ := valueOf("text", e)
		return "stream-error " + condition(e, nsStreamErrors) + " text=" + quoted(cut(text, 100))
	case !isContent(e.Name.Space):
		return "element " + e.Name.Local + "@" + e.Name.Space + attributes(e)
	}
	s := e.Name.Local + attributes(e)
	if e.Name.Local == "handshake" && len(e.Children) > 0 {
		return s + " text=" + quoted(cut(e.Text(), 60))
	}
	if kind, cond := stanzaError(e); kind != "" {
		return s + " error=" + kind + "/" + cond
	}
	if body, ok := valueOf("body", e); ok {
		s += " body=" + quoted(cut(body, 60))
	}
	return s
}

// attributes writes the attributes of an element as marks.
func attributes(e *wire.Element) string {
	var b strings.Builder
	for _, a := range e.Attrs {
		key := a.Name.Local
		if a.Name.Space == nsXML {
			key = "xml:" + key
		}
		value := cut(a.Value, 60)
		if q := quoted(value); strings.Contains(value, " ") || q != `"`+value+`"` {
			value = q
		}
		b.WriteString(" " + key + "=" + value)
	}
	return b.String()
}

// cut shortens a text to about n bytes, at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
