package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	head = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>`
	tail = `</stream:stream>`
)

// told reads a stream, fed in pieces of so many bytes, and says what it was: the events, and the error but ErrMore. Text that
// came in several events is joined.
func told(limit, piece int, stream string) string {
	var out []string
	r, text, given := NewReader(limit), "", ""
	flush := func() {
		if text != "" {
			out = append(out, fmt.Sprintf("text %q", text))
		}
		text = ""
	}
	for fed := 0; ; {
		ev, err := r.Next()
		switch {
		case err == nil && ev.Kind == Text:
			text += ev.Text
		case err == nil:
			flush()
			out = append(out, [...]string{Header: "header ", Whole: "", End: "end"}[ev.Kind]+printed(ev.Element))
		case errors.Is(err, ErrMore) && fed < len(stream):
			n := min(piece, len(stream)-fed)
			r.Feed([]byte(stream[fed : fed+n]))
			fed += n
		default:
			flush()
			if rest := string(r.Buffered()); given+rest != stream[:fed] {
				return fmt.Sprintf("of %q came %q, and %q stayed", stream[:fed], given, rest)
			}
			if again, stays := r.Next(); again.Raw != nil || stays != err {
				return fmt.Sprintf("after %v: %v", err, stays)
			}
			if !errors.Is(err, ErrMore) {
				out = append(out, err.Error())
			}
			return strings.Join(out, "\n")
		}
		given += string(ev.Raw)
	}
}

func printed(e *Element) string {
	if e == nil {
		return ""
	}
	return e.String()
}

// inStream reads what stands in a stream, whole and in pieces, and says what that was without the header.
func inStream(t *testing.T, body string) string {
	t.Helper()
	whole := told(1<<20, 1<<20, head+body)
	for _, piece := range []int{1, 2, 3} {
		if got := told(1<<20, piece, head+body); got != whole {
			t.Errorf("%q in pieces of %d:\n%s\nbut whole:\n%s", body, piece, got, whole)
		}
	}
	_, rest, _ := strings.Cut(whole, "\n")
	return strings.ReplaceAll(rest, " xmlns='jabber:component:accept'", "")
}

func TestElements(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"<a/>", "<a/>"},
		{"<a></a>", "<a/>"},
		{"<a >x</a\n>", "<a>x</a>"},
		{"<a b = \"1\"\tc='2' />", "<a b='1' c='2'/>"},
		{"<a>1<b>2<c/>3</b>4</a><d/>", "<a>1<b>2<c/>3</b>4</a>\n<d/>"},
		{" \r\n\t<a/>\r", `text " \n\t"` + "\n<a/>"}, // the CR may be half of a line end
		{"x<a/>&amp;", `text "x"` + "\n<a/>\n" + `text "&"`},
		{"<![CDATA[]]><a/><![CDATA[<&]]>", "<a/>\n" + `text "<&"`},
		// Line ends (2.11) and attribute values (3.3.3).
		{"<a b='1\r\n2\r3\n4\t5&#13;6&#xA;7&#9;8'/>", "<a b='1 2 3 4 5&#13;6&#10;7&#9;8'/>"},
		{"<a>1\r\n2\r3\n4\t5&#13;6&#13;\n</a>", "<a>1\n2\n3\n4\t5&#13;6&#13;\n</a>"},
		{"<a><![CDATA[1\r\n2\r]]></a>", "<a>1\n2\n</a>"},
		// References (4.1).
		{"<a b='&lt;&gt;&amp;&apos;&quot;'>&lt;&gt;&amp;&apos;&quot;</a>", `<a b='&lt;>&amp;&apos;"'>&lt;&gt;&amp;'"</a>`},
		{"<a>&#65;&#x42;&#x0000000000000000000043;&#x1F600;&#xfFfD;</a>", "<a>ABC\U0001F600\uFFFD</a>"},
		{"<a>]]&gt;&#93;]></a>", "<a>]]&gt;]]&gt;</a>"},
		{"<a>]]<b/>></a>", "<a>]]<b/>&gt;</a>"},
		{"<a b=']]>'>]]</a>", "<a b=']]>'>]]</a>"},
		{"<a><![CDATA[]]]]><![CDATA[>]]]]]]></a>", "<a>]]&gt;]]]]</a>"},
		{"<a><![CDATA[]x]]y]>]]>>]]<![CDATA[>]]></a>", "<a>]x]]y]&gt;&gt;]]&gt;</a>"},
		// Characters and names.
		{"<a>\x7f\u0080\uD7FF\uE000\uFFFD\U00010000\U0010FFFF\uFEFF</a>", "<a>\x7f\u0080\uD7FF\uE000\uFFFD\U00010000\U0010FFFF\uFEFF</a>"},
		{"<_-.1·\u0300 é='x'/>", "<_-.1·\u0300 é='x'/>"},
		// Namespaces.
		{"<p:a xmlns:p='u' p:b='1' b='2'><p:c xmlns:p='v'/><p:d/></p:a>", "<a xmlns='u' b='2' xmlns:n1='u' n1:b='1'><c xmlns='v'/><d/></a>"},
		{"<a xmlns=''><b/></a>", "<a xmlns=''><b/></a>"},
		{"<a xml:lang='de' xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", "<a xml:lang='de'/>"},
		{"<stream:features/>", "<features xmlns='http://etherx.jabber.org/streams'/>"},
		{"<xml:a><b/></xml:a>", "<xml:a><b/></xml:a>"},
		{"<a xmlns:p='u'/><p:b xmlns:p='v'/>", "<a/>\n<b xmlns='v'/>"},
		{"<a></a></stream:stream > \n", "<a/>\nend\n" + `text " \n"`},
	} {
		if got := inStream(t, c.body); got != c.want {
			t.Errorf("%q:\n%s\nwant\n%s", c.body, got, c.want)
		}
	}
}

// TestBreaches has ^ before the byte that an error is to name.
func TestBreaches(t *testing.T) {
	for _, c := range []struct {
		kind Breach
		body string
		says string
	}{
		{NotWellFormed, "<a><b>^</a>", "</a> where </b>"},
		{NotWellFormed, "<a>^</A>", "</A> where </a>"},
		{NotWellFormed, "^</a>", "</a> where </stream:stream>"},
		{NotWellFormed, "<^ a/>", "behind <"},
		{NotWellFormed, "<^1/>", "behind <"},
		{NotWellFormed, "<^>", "behind <"},
		{NotWellFormed, "<^·/>", "behind <"},
		{NotWellFormed, "<a^</a>", "in a tag"},
		{NotWellFormed, "<a/^ >", "behind /"},
		{NotWellFormed, "<a></^ a>", "behind </"},
		{NotWellFormed, "<a></a^ b>", "> is due"}, // at b, see below
		{NotWellFormed, "<a></a^/>", "> is due"},
		{NotWellFormed, "<a ^='1'/>", "in a tag"},
		{NotWellFormed, "<a b^/>", "= is due"},
		{NotWellFormed, "<a b=^1/>", "quote"},
		{NotWellFormed, "<a b='1'^c='2'/>", "in a tag"},
		{NotWellFormed, "<a b='^<'/>", "in the value"},
		{NotWellFormed, "<a b='1' ^b='2'/>", "twice"},
		{NotWellFormed, "<a xmlns='u' ^xmlns='u'/>", "twice"},
		{NotWellFormed, "<a>^]]></a>", "]]> in text"},
		{NotWellFormed, "<a>]^]]></a>", "]]> in text"},
		{NotWellFormed, "^]]>", "]]> in text"},
		{NotWellFormed, "<a>^& </a>", "no reference"},
		{NotWellFormed, "<a>^&;</a>", "no reference"},
		{NotWellFormed, "<a>^&1;</a>", "no reference"},
		{NotWellFormed, "<a>^&lt </a>", "no reference"},
		{NotWellFormed, "<a>^&#;</a>", "no reference"},
		{NotWellFormed, "<a>^&#x;</a>", "no reference"},
		{NotWellFormed, "<a>^&#X41;</a>", "no reference"},
		{NotWellFormed, "<a>^&#1a;</a>", "no reference"},
		{NotWellFormed, "<a>^&#xg;</a>", "no reference"},
		{NotWellFormed, "<a>^&#0;</a>", "&#0;"},
		{NotWellFormed, "<a>^&#11;</a>", "&#11;"},
		{NotWellFormed, "<a>^&#xD800;</a>", "&#xD800;"},
		{NotWellFormed, "<a>^&#xFFFE;</a>", "&#xFFFE;"},
		{NotWellFormed, "<a>^&#x110000;</a>", "&#x110000;"},
		{NotWellFormed, "<a>^&#4294967361;</a>", "&#4294967361;"}, // 65 beyond 32 bits
		{NotWellFormed, "<a b='^&#1;'/>", "&#1;"},
		{NotWellFormed, "<a>^\x00</a>", "U+0000"},
		{NotWellFormed, "<a>^\x1f</a>", "U+001F"},
		{NotWellFormed, "<a>^\uFFFE</a>", "U+FFFE"},
		{NotWellFormed, "<a b='^\uFFFF'/>", "U+FFFF"},
		{NotWellFormed, "<![^c", "<!"},
		{NotWellFormed, "<!^ELEMENT a>", "<!"},
		{NotWellFormed, "<!-^>", "<!"},
		{NotWellFormed, "^<?xml version='1.0'?>", "not at the beginning"},
		{NotWellFormed, "^<?XML a?>", "reserved"},
		{NotWellFormed, "<?^ a?>", "behind <?"},
		{NotWellFormed, "<?a^<", "in the name"},
		{Restricted, "^<!-- a -->", "comment"},
		{Restricted, "<a>^<!--", "comment"},
		{Restricted, "^<?a b?>", "instruction"},
		{Restricted, "<a>^<?a?></a>", "instruction"},
		{Restricted, "^<!DOCTYPE a>", "document type"},
		{Restricted, "<a>^&nbsp;</a>", "&nbsp;"},
		{Restricted, "<a b='^&x:y;'/>", "&x:y;"},
		{NotNamespaced, "^<p:a/>", "prefix p"},
		{NotNamespaced, "<a ^p:b='1'/>", "prefix p"},
		{NotNamespaced, "<a xmlns:p='u'/>^<p:b/>", "prefix p"},
		{NotNamespaced, "<a ^xmlns:p=''/>", "undeclared"},
		{NotNamespaced, "<a ^xmlns:xmlns='u'/>", "prefix xmlns"},
		{NotNamespaced, "<a ^xmlns:xml='u'/>", "belong together"},
		{NotNamespaced, "<a ^xmlns:p='http://www.w3.org/XML/1998/namespace'/>", "belong together"},
		{NotNamespaced, "<a ^xmlns='http://www.w3.org/XML/1998/namespace'/>", "belong together"},
		{NotNamespaced, "<a ^xmlns='http://www.w3.org/2000/xmlns/'/>", "no prefix may"},
		{NotNamespaced, "^<xmlns:a/>", "prefix xmlns"},
		{NotNamespaced, "<a xmlns:p='u' xmlns:q='u' p:b='1' ^q:b='2'/>", "twice"},
		{NotNamespaced, "^<a:b:c/>", "qualified"},
		{NotNamespaced, "^<:a/>", "qualified"},
		{NotNamespaced, "^<stream:/>", "qualified"},
		{NotNamespaced, "^<stream:1/>", "qualified"},
		{NotNamespaced, "<a ^xmlns:='u'/>", "qualified"},
		{NotNamespaced, "<a ^b:='u'/>", "qualified"},
		{NotUTF8, "<a>^\xff</a>", "0xFF"},
		{NotUTF8, "<a>^\xc0\xaf</a>", "0xC0"},
		{NotUTF8, "<a>^\xed\xa0\x80</a>", "0xED"},
		{NotUTF8, "<a>^\xf4\x90\x80\x80</a>", "0xF4"},
		{NotUTF8, "<a>^\xe2\x82</a>", "0xE2"},
		{NotUTF8, "^\x80", "0x80"},
		{NotWellFormed, "</stream:stream>^<a/>", "end of the stream"},
		{NotWellFormed, "</stream:stream>^</a>", "end of the stream"},
		{NotWellFormed, "</stream:stream>^a", "end of the stream"},
		{NotWellFormed, "</stream:stream>^<![CDATA[a]]>", "outside of the stream"},
		{Restricted, "</stream:stream>^<!--a-->", "comment"},
	} {
		before, after, _ := strings.Cut(c.body, "^")
		lines := strings.Split(inStream(t, before+after), "\n")
		at := len(head + before)
		if strings.HasSuffix(before, "</a") && after[0] == ' ' {
			at++ // the white space is allowed
		}
		got, want := lines[len(lines)-1], fmt.Sprintf("read byte %d: %s: ", at, c.kind)
		if !strings.HasPrefix(got, want) || !strings.Contains(got, c.says) {
			t.Errorf("%q: %q, want %q with %q", c.body, got, want, c.says)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct{ stream, want string }{
		{"<a/>", "header <a xmlns=''/>\nend"},
		{"<a></a>", "header <a xmlns=''/>\nend"},
		{"<a b='1'>", "header <a xmlns='' b='1'/>"},
		{" \r\n<a>", "header <a xmlns=''/>"},
		{"<?xml version='1.0'?><a>", "header <a xmlns=''/>"},
		{"<?xml version=\"1.0\" encoding='utf-8' standalone='yes' ?> <a>", "header <a xmlns=''/>"},
		{"<?xml\r\nversion = '1.0'\tencoding = \"UTF-8\"\r?>\r\n<a>", "header <a xmlns=''/>"},
		{"\xef\xbb\xbf<a>", "read byte 0: not well-formed: a byte order mark"},
		{"x<a>", "read byte 0: not well-formed: 'x' before the stream header"},
		{" \xef\xbb\xbf<a>", `read byte 1: not well-formed: '\ufeff' before the stream header`},
		{"</a>", "read byte 0: not well-formed: a closing tag before the stream header"},
		{"<![CDATA[a]]>", "read byte 0: not well-formed: a CDATA section outside of the stream"},
		{"<!DOCTYPE a>", "read byte 0: restricted: a document type declaration"},
		{"<!--a--><a>", "read byte 0: restricted: a comment"},
		{"<?a?><a>", "read byte 0: restricted: a processing instruction"},
		{"<?xml-stylesheet a?><a>", "read byte 0: restricted: a processing instruction"},
		{" <?xml version='1.0'?><a>", "read byte 1: not well-formed: an XML declaration that is not at the beginning"},
		{"<?xml version='1.0'?><?xml version='1.0'?>", "read byte 21: not well-formed: an XML declaration that is not at the beginning"},
		{"<?xml?><a>", "read byte 0: not well-formed: an instruction with a reserved name"},
		{"<?xml ?><a>", "read byte 0: not well-formed: an XML declaration that does not read version='1.0' encoding='UTF-8'"},
		{"<?xml version='1.1'?><a>", "read byte 0: not well-formed: an XML declaration that does not read version='1.0' encoding='UTF-8'"},
		{"<?xml encoding='UTF-8' version='1.0'?>", "read byte 0: not well-formed: an XML declaration that does not read version='1.0' encoding='UTF-8'"},
		{"<?xml version='1.0'encoding='UTF-8'?>", "read byte 0: not well-formed: an XML declaration that does not read version='1.0' encoding='UTF-8'"},
		{"<?xml version='1.0' encoding='ISO-8859-1'?>", "read byte 0: not UTF-8: the encoding 'ISO-8859-1'"},
		{"<?xml version='1.0' <a>", "read byte 20: not well-formed: < in the XML declaration"},
		{"<p:a>", "read byte 0: not namespace-well-formed: the prefix p is not declared"},
	} {
		for _, piece := range []int{1, 100} {
			if got := told(1<<20, piece, c.stream); got != c.want {
				t.Errorf("%q in pieces of %d:\n%s\nwant\n%s", c.stream, piece, got, c.want)
			}
		}
	}
}
