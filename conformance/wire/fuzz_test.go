package wire

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// FuzzReader holds the reader against itself, with the bytes cut elsewhere, and against encoding/xml.
func FuzzReader(f *testing.F) {
	for _, body := range []string{
		"<message to='a@b/c' id=\"1\"><body>a&#13;b\r\nc&lt;&amp;</body><x xmlns='jabber:x:data' a='&#9;\t\n'/></message>",
		"<p:a xmlns:p='u' xml:lang='de' p:b='' b=''><p:c xmlns:p='v'>]]&gt;<![CDATA[]]]]><![CDATA[>]]></p:c></p:a>",
		" <a/>\r\nx&apos;<é.-·/><a><b><c/></b >1</a>", "<a b='&#x1F600;\xf0\x9f\x98\x80'/>",
		"<!-- a -->", "<?a b?>", "<!DOCTYPE a>", "<a>]]></a>", "<a b='1' b='2'/>", "<p:a/>", "<a></b>", "&nbsp;", "\xff", "\x00",
	} {
		f.Add([]byte(head+body+tail), uint8(1), uint8(40))
		f.Add([]byte(body), uint8(2), uint8(100))
	}
	f.Add([]byte("<?xml version='1.0' encoding='UTF-8' standalone='no'?>\n"+head+tail+" "), uint8(3), uint8(200))
	f.Add([]byte("<a/>"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, piece, limit uint8) {
		for _, stream := range []string{string(data), head + string(data) + tail} {
			for _, limit := range []int{len(head) + int(limit), 1 << 20} {
				whole := told(limit, len(stream)+1, stream)
				if got := told(limit, int(piece)+1, stream); got != whole {
					t.Fatalf("%q, %d at most, in pieces of %d:\n%s\nwhole:\n%s", stream, limit, int(piece)+1, got, whole)
				}
			}
			tokens, ok := ours(t, stream)
			if !ok {
				continue
			}
			want, err := theirs(stream)
			switch {
			case err != nil && !explained(err):
				t.Fatalf("%q is accepted, encoding/xml says: %v", stream, err)
			case err == nil && !slices.Equal(tokens, want):
				t.Fatalf("%q:\n%q\nencoding/xml:\n%q", stream, tokens, want)
			}
		}
	})
}

// ours reads a stream, and gives its tokens, if it is one from the header to the end. It sees that what is printed of each
// element is an equal one.
func ours(t *testing.T, stream string) (tokens []string, ok bool) {
	r := NewReader(1 << 20)
	r.Feed([]byte(stream))
	for ended := false; ; {
		ev, err := r.Next()
		switch {
		case errors.Is(err, ErrMore):
			return tokens, ended && len(r.Buffered()) == 0
		case err != nil:
			return nil, false
		case ev.Kind == Header:
			tokens = append(tokens, opening(ev.Element))
		case ev.Kind == Whole:
			again, err := Parse(ev.Element.String(), "", nil)
			if err != nil || !Equal(ev.Element, again) || again.String() != ev.Element.String() {
				t.Fatalf("%q is printed as %s: %v", ev.Raw, ev.Element, err)
			}
			tokens = whole(tokens, ev.Element)
		case ev.Kind == Text:
			tokens = joined(tokens, ev.Text)
		case ev.Kind == End:
			tokens, ended = append(tokens, "</>"), true
		}
	}
}

func whole(tokens []string, e *Element) []string {
	tokens = append(tokens, opening(e))
	for _, n := range e.Children {
		if n.Element != nil {
			tokens = whole(tokens, n.Element)
		} else {
			tokens = joined(tokens, n.Text)
		}
	}
	return append(tokens, "</>")
}

// opening is an opening tag with its attributes in order, those that declare left out.
func opening(e *Element) string {
	var attrs []string
	for _, a := range e.Attrs {
		attrs = append(attrs, fmt.Sprintf(" {%s}%s=%q", normal(a.Name.Space), a.Name.Local, normal(a.Value)))
	}
	slices.Sort(attrs)
	return fmt.Sprintf("<{%s}%s%s>", normal(e.Name.Space), e.Name.Local, strings.Join(attrs, ""))
}

// normal makes spaces of white space: encoding/xml does not normalise values. The tables have what this does not see.
func normal(value string) string { return strings.NewReplacer("\t", " ", "\n", " ").Replace(value) }

// joined adds text to that before it. Text before the root is no event.
func joined(tokens []string, text string) []string {
	n := len(tokens)
	switch {
	case n == 0 || text == "":
		return tokens
	case tokens[n-1][0] != '<':
		tokens[n-1] += text
		return tokens
	}
	return append(tokens, "."+text)
}

// theirs gives the tokens that encoding/xml reads.
func theirs(stream string) (tokens []string, err error) {
	d := xml.NewDecoder(strings.NewReader(stream))
	for {
		token, err := d.Token()
		switch token := token.(type) {
		case xml.StartElement:
			e := &Element{Name: Name(token.Name)}
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
					e.Attrs = append(e.Attrs, Attr{Name(a.Name), a.Value})
				}
			}
			tokens = append(tokens, opening(e))
		case xml.EndElement:
			tokens = append(tokens, "</>")
		case xml.CharData:
			tokens = joined(tokens, string(token))
		}
		if errors.Is(err, io.EOF) {
			return tokens, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// explained reports whether we know why encoding/xml refuses what is namespace-well-formed: its names are those of the fourth
// edition of XML 1.0.
func explained(err error) bool {
	var se *xml.SyntaxError
	return errors.As(err, &se) && strings.HasPrefix(se.Msg, "invalid XML name") &&
		strings.IndexFunc(se.Msg, func(c rune) bool { return c > 0x7f }) >= 0
}
