package stanza

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	head = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='n1.example'>`
	tail = `</stream:stream>`
)

// play feeds the pieces to a new Scanner and tells what came out: the names of tokens, elements as written,
// and the condition of the error, if any.
func play(t testing.TB, lim Limits, pieces ...string) string {
	t.Helper()
	s := NewScanner(lim)
	var out []string
	var buf []byte
	var h Header
	for _, p := range pieces {
		buf = append(buf[:len(buf):len(buf)], p...) // always a new buffer: nothing may point into the old one
		for {
			tok, n, err := s.Next(buf, &h)
			if err != nil {
				var se *StreamError
				if !errors.As(err, &se) || se.Condition == "" || se.Text == "" {
					t.Fatalf("error %#v is no complete StreamError", err)
				}
				if _, _, again := s.Next(buf, &h); again != err {
					t.Fatalf("after %v the next call gives %v", err, again)
				}
				return strings.Join(append(out, "!"+se.Condition), " ")
			}
			if tok == Element {
				out = append(out, string(h.Raw))
			} else if tok != None {
				out = append(out, tok.String())
			}
			buf = buf[n:]
			if tok == None {
				break
			}
		}
	}
	return strings.Join(out, " ")
}

// everySplit plays the input whole, byte by byte and in two pieces at every place, and wants one result.
func everySplit(t *testing.T, lim Limits, in, want string) {
	t.Helper()
	if got := play(t, lim, in); got != want {
		t.Fatalf("whole: %q\ngot  %s\nwant %s", in, got, want)
	}
	if got := play(t, lim, strings.Split(in, "")...); got != want {
		t.Fatalf("by characters: %q\ngot  %s\nwant %s", in, got, want)
	}
	single := make([]string, len(in))
	for i := range len(in) {
		single[i] = in[i : i+1]
	}
	if got := play(t, lim, single...); got != want {
		t.Fatalf("by bytes: %q\ngot  %s\nwant %s", in, got, want)
	}
	for i := range len(in) + 1 {
		if got := play(t, lim, in[:i], in[i:]); got != want {
			t.Fatalf("split at %d: %q | %q\ngot  %s\nwant %s", i, in[:i], in[i:], got, want)
		}
	}
}

// goodElements are top-level elements that must pass as they are.
var goodElements = []string{
	`<message/>`,
	`<message to='a@b/c' from="d@e" id='1' type='chat'><body>hello &lt;world&gt; &#x1F600; &#9;</body></message>`,
	"<iq\n type = 'get'\tid\r=\n\"x\" ><q xmlns='u'/></iq >",
	`<presence xmlns='jabber:component:accept'><show>away</show></presence>`,
	`<a><![CDATA[]]></a>`,
	`<a><![CDATA[]]]]><![CDATA[>]]></a>`,
	`<a><![CDATA[<b>&nbsp;</b> ]] ]> > ]]]]></a>`,
	`<a>]] > ]>]]</a>`,
	`<a b='>' c="'" d='"'/>`,
	`<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
	`<a xmlns:p='u' p:b='1' b='2'><p:c/><q:c xmlns:q='v'/></a>`,
	`<a xmlns=''><b xmlns='u'/></a>`,
	`<a xml:lang='en' xml:space='preserve'><xml:b/></a>`,
	`<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>`,
	"<a>\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80 \xef\xbb\xbf\xef\xbf\xbd\x7f\xc2\x80</a>",
	"<\xc3\xa9l\xc3\xa9ment \xd0\xb8\xd0\xbc\xd1\x8f='\xd1\x8f'>\xc3\xa9</\xc3\xa9l\xc3\xa9ment>",
	"<a\xc2\xb7\xcc\x80/>",
	`<a b='&amp;&lt;&gt;&apos;&quot;&#65;&#x41;&#xD7FF;&#xE000;&#xFFFD;&#x10000;&#x10FFFF;'/>`,
	`<a xmlns:p='u' xmlns:q='u' p:b='' q:c=''/>`,
	`<a xmlns:p='u' xmlns:q='v' p:b='' q:b='' xml:b='' stream:b='' b=''/>`,
	`<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>`,
	`<p:message xmlns:p='other'/>`,
	`<stream xmlns='other'/>`,
	"<a b='\t\n\r'>\t\n\r</a>",
	`<_ _-.='' />`,
}

func TestGood(t *testing.T) {
	for _, e := range goodElements {
		everySplit(t, Limits{}, head+e+tail, "open "+e+" end")
	}
	var all strings.Builder
	for _, e := range goodElements {
		all.WriteString(" \r\n\t" + e)
	}
	everySplit(t, Limits{}, head+all.String()+" "+tail+"\n", "open "+strings.Join(goodElements, " ")+" end")
}

// badElements are refused inside a stream; what follows must not matter.
var badElements = []struct{ name, in, want string }{
	{"comment", `<!-- c -->`, "restricted-xml"},
	{"comment in element", `<a><!-- c --></a>`, "restricted-xml"},
	{"processing instruction", `<?pi x?>`, "restricted-xml"},
	{"processing instruction in element", `<a>x<?pi x?></a>`, "restricted-xml"},
	{"late XML declaration", `<?xml version='1.0'?>`, "restricted-xml"},
	{"DTD", `<!DOCTYPE a [<!ENTITY b 'c'>]>`, "restricted-xml"},
	{"DTD in element", `<a><!DOCTYPE a></a>`, "restricted-xml"},
	{"external entity", `<!ENTITY x SYSTEM "file:///etc/hostname">`, "restricted-xml"},
	{"other entity", `<a>&nbsp;</a>`, "restricted-xml"},
	{"other entity in attribute", `<a b='&lol9;'/>`, "restricted-xml"},
	{"entity with other case", `<a>&LT;</a>`, "restricted-xml"},
	{"entity, not ASCII", "<a>&\xc3\xa9;</a>", "restricted-xml"},
	{"bare ampersand", `<a>& </a>`, "not-well-formed"},
	{"ampersand before tag", `<a>&amp</a>`, "not-well-formed"},
	{"empty reference", `<a>&;</a>`, "not-well-formed"},
	{"reference to NUL", `<a>&#0;</a>`, "not-well-formed"},
	{"reference to control", `<a>&#x1f;</a>`, "not-well-formed"},
	{"reference to surrogate", `<a>&#xD800;</a>`, "not-well-formed"},
	{"reference to FFFE", `<a b='&#65534;'/>`, "not-well-formed"},
	{"reference beyond Unicode", `<a>&#x110000;</a>`, "not-well-formed"},
	{"huge reference", `<a>&#99999999999999999999999;</a>`, "not-well-formed"},
	{"reference without digits", `<a>&#;</a>`, "not-well-formed"},
	{"reference with X", `<a>&#X41;</a>`, "not-well-formed"},
	{"endless reference", `<a>&#` + strings.Repeat("0", 100) + `65;</a>`, "policy-violation"},
	{"wrong end tag", `<a><b></a></b>`, "not-well-formed"},
	{"longer end tag", `<a></ab>`, "not-well-formed"},
	{"shorter end tag", `<ab></a>`, "not-well-formed"},
	{"other prefix in end tag", `<p:a xmlns:p='u' xmlns:q='u'></q:a>`, "not-well-formed"},
	{"space in end tag", `<a></ a>`, "not-well-formed"},
	{"attribute in end tag", `<a></a b=''>`, "not-well-formed"},
	{"stream closed in element", `<a></stream:stream>`, "not-well-formed"},
	{"wrong stream close", `</stream:strea>`, "not-well-formed"},
	{"twice the same attribute", `<a b='1' c='' b='1'/>`, "not-well-formed"},
	{"twice the same expanded name", `<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>`, "not-well-formed"},
	{"the same with a reference", `<a xmlns:p='u' xmlns:q='&#117;' p:b='' q:b=''/>`, "not-well-formed"},
	{"the same with white space", "<a xmlns:p='u\n' xmlns:q='u ' p:b='' q:b=''/>", "not-well-formed"},
	{"the same as of the stream header", `<a xmlns:p='http://etherx.jabber.org/streams' p:b='' c:b='' stream:b='' xmlns:c='u'/>`, "not-well-formed"},
	{"the same behind others", `<a xmlns:p='u' xmlns:q='v' xmlns:r='v' p:b='' p:c='' q:b='' q:c='' r:d='' r:c=''/>`, "not-well-formed"},
	{"undeclared element prefix", `<p:a/>`, "not-well-formed"},
	{"undeclared attribute prefix", `<a p:b=''/>`, "not-well-formed"},
	{"prefix out of scope", `<a><b xmlns:p='u'/><p:c/></a>`, "not-well-formed"},
	{"undeclaring a prefix", `<a xmlns:p=''/>`, "not-well-formed"},
	{"binding xml", `<a xmlns:xml='u'/>`, "not-well-formed"},
	{"binding to xml", `<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>`, "not-well-formed"},
	{"default xml", `<a xmlns='http://www.w3.org/XML/1998/namespace'/>`, "not-well-formed"},
	{"binding xmlns", `<a xmlns:xmlns='u'/>`, "not-well-formed"},
	{"binding to xmlns", `<a xmlns:p='http://www.w3.org/2000/xmlns/'/>`, "not-well-formed"},
	{"element xmlns", `<xmlns:a/>`, "not-well-formed"},
	{"two colons", `<a:b:c xmlns:a='u'/>`, "not-well-formed"},
	{"colon first", `<:a/>`, "not-well-formed"},
	{"colon last", `<a: xmlns:a='u'/>`, "not-well-formed"},
	{"digit behind colon", `<p:1 xmlns:p='u'/>`, "not-well-formed"},
	{"attribute with two colons", `<a xmlns:p='u' p:b:c=''/>`, "not-well-formed"},
	{"digit first", `<1/>`, "not-well-formed"},
	{"space first", `< a/>`, "not-well-formed"},
	{"name mark first", "<\xcc\x80a/>", "not-well-formed"},
	{"multiplication sign in name", "<a\xc3\x97/>", "not-well-formed"},
	{"no space before attribute", `<a b='1'c='2'/>`, "not-well-formed"},
	{"no quotes", `<a b=1/>`, "not-well-formed"},
	{"no value", `<a b/>`, "not-well-formed"},
	{"less-than in attribute", `<a b='<'/>`, "not-well-formed"},
	{"slash in tag", `<a / >`, "not-well-formed"},
	{"CDATA end in text", `<a>]]></a>`, "not-well-formed"},
	{"CDATA end in longer text", `<a>0123456789 0123456789 0123456789 ]]]></a>`, "not-well-formed"},
	{"broken CDATA start", `<a><![CDAT[x]]></a>`, "not-well-formed"},
	{"control in CDATA", "<a><![CDATA[\x01]]></a>", "not-well-formed"},
	{"control in text", "<a>abcdefghi\x08</a>", "not-well-formed"},
	{"NUL in text", "<a>\x00</a>", "not-well-formed"},
	{"control in attribute", "<a b='\x1f'/>", "not-well-formed"},
	{"control in name", "<a\x02/>", "not-well-formed"},
	{"overlong slash", "<a>\xc0\xaf</a>", "not-well-formed"},
	{"overlong of three", "<a>\xe0\x80\xaf</a>", "not-well-formed"},
	{"overlong of four", "<a>\xf0\x80\x80\xaf</a>", "not-well-formed"},
	{"surrogate", "<a>\xed\xa0\x80</a>", "not-well-formed"},
	{"U+FFFE", "<a>\xef\xbf\xbe</a>", "not-well-formed"},
	{"U+FFFF in attribute", "<a b='\xef\xbf\xbf'/>", "not-well-formed"},
	{"beyond U+10FFFF", "<a>\xf4\x90\x80\x80</a>", "not-well-formed"},
	{"five-byte form", "<a>\xf8\x88\x80\x80\x80</a>", "not-well-formed"},
	{"trail byte", "<a>\x80</a>", "not-well-formed"},
	{"cut character", "<a>\xd0</a>", "not-well-formed"},
	{"cut character of four", "<a><![CDATA[\xf0\x9f\x98]]></a>", "not-well-formed"},
	{"overlong pairs", "<a>\xd0\x9f\xc1\x80\xd0\x9f\xd0\x9f</a>", "not-well-formed"},
	{"bad UTF-8 in name", "<a\xff/>", "not-well-formed"},
	{"bad UTF-8 in entity", "<a>&\xff;</a>", "restricted-xml"},
	{"text between stanzas", `hello`, "bad-format"},
	{"reference between stanzas", `&#32;`, "bad-format"},
	{"CDATA between stanzas", `<![CDATA[ ]]>`, "bad-format"},
	{"U+FEFF between stanzas", "\xef\xbb\xbf<a/>", "bad-format"},
	{"control between stanzas", "\x00", "not-well-formed"},
	{"bad UTF-8 between stanzas", "\xc0\x80", "not-well-formed"},
	{"stream header in stream", head, "policy-violation"},
	{"stream header in default namespace", `<stream xmlns='http://etherx.jabber.org/streams'>`, "policy-violation"},
	{"prefixed stanza", `<c:message xmlns:c='jabber:component:accept'/>`, "bad-namespace-prefix"},
	{"prefixed stanza of a client", `<c:iq xmlns:c='jabber:client'/>`, "bad-namespace-prefix"},
	{"lone greater-than", `>`, "bad-format"},
}

func TestBad(t *testing.T) {
	for _, c := range badElements {
		t.Run(c.name, func(t *testing.T) {
			everySplit(t, Limits{}, head+"<a/>"+c.in+"<b/>", "open <a/> !"+c.want)
		})
	}
}

var headers = []struct{ name, in, want string }{
	{"plain", head, "open"},
	{"declaration", `<?xml version='1.0'?>` + head, "open"},
	{"declaration in full", "<?xml\tversion = \"1.0\" encoding='utf-8' standalone='yes' ?>\n" + head, "open"},
	{"white space before", "\r\n " + head, "open"},
	{"other prefix", `<s:stream xmlns:s='http://etherx.jabber.org/streams'></s:stream >`, "open end"},
	{"bytes after the end", head + tail + "\n<a/>", "open end !not-well-formed"},
	{"declaration after white space", ` <?xml version='1.0'?>`, "!restricted-xml"},
	{"two declarations", `<?xml version='1.0'?><?xml version='1.0'?>`, "!restricted-xml"},
	{"processing instruction", `<?xml-stylesheet a='b'?>`, "!restricted-xml"},
	{"comment", `<!---->` + head, "!restricted-xml"},
	{"document type", `<!DOCTYPE stream>` + head, "!restricted-xml"},
	{"XML 2.0", `<?xml version='2.0'?>` + head, "!not-well-formed"},
	{"XML 1.1", `<?xml version='1.1'?>` + head, "!unsupported-version"},
	{"Latin-1", `<?xml version='1.0' encoding='ISO-8859-1'?>` + head, "!unsupported-encoding"},
	{"no version", `<?xml encoding='utf-8'?>` + head, "!not-well-formed"},
	{"wrong order", `<?xml encoding='utf-8' version='1.0'?>` + head, "!not-well-formed"},
	{"declaration not closed", `<?xml version='1.0'>` + head, "!not-well-formed"},
	{"endless declaration", `<?xml version='1.0'` + strings.Repeat(" ", 300), "!not-well-formed"},
	{"byte order mark", "\xef\xbb\xbf" + head, "!bad-format"},
	{"other protocol", "GET / HTTP/1.1\r\n", "!bad-format"},
	{"TLS", "\x16\x03\x01", "!not-well-formed"},
	{"wrong root", `<html xmlns='http://etherx.jabber.org/streams'>`, "!bad-format"},
	{"wrong namespace", `<stream:stream xmlns:stream='http://etherx.jabber.org/stream'>`, "!invalid-namespace"},
	{"no namespace", `<stream>`, "!invalid-namespace"},
	{"undeclared prefix", `<stream:stream>`, "!not-well-formed"},
	{"closed at once", `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>`, "!bad-format"},
	{"end before begin", tail, "!not-well-formed"},
	{"CDATA first", `<![CDATA[x]]>`, "!bad-format"},
}

func TestHeaders(t *testing.T) {
	for _, c := range headers {
		t.Run(c.name, func(t *testing.T) { everySplit(t, Limits{}, c.in, c.want) })
	}
	var many strings.Builder
	for i := range 33 {
		fmt.Fprintf(&many, " xmlns:p%d='u'", i)
	}
	everySplit(t, Limits{}, strings.Replace(head, " to", many.String()+" to", 1), "!policy-violation")
}

func TestLimits(t *testing.T) {
	lim := Limits{Stanza: 200, Depth: 3, Tag: 150, Attrs: 4}
	long := func(n int) string { return "<a>" + strings.Repeat("x", n-7) + "</a>" }
	wide := func(n int) string { return "<a b='" + strings.Repeat("x", n-9) + "'/>" }
	for _, c := range []struct{ in, want string }{
		{long(200), long(200)},
		{long(201), "!policy-violation"},
		{"<a><b><c/></b></a>", "<a><b><c/></b></a>"},
		{"<a><b><c><d/></c></b></a>", "!policy-violation"},
		{wide(150), wide(150)},
		{wide(151), "!policy-violation"},
		{"<a></a" + strings.Repeat(" ", 150) + ">", "!policy-violation"},
		{"<a b='' c='' d='' e=''/>", "<a b='' c='' d='' e=''/>"},
		{"<a b='' c='' d='' e='' f=''/>", "!policy-violation"},
		{strings.Repeat(" ", 200) + "<a/>", "<a/>"},
		{strings.Repeat(" ", 201) + "<a/>", "!policy-violation"},
	} {
		everySplit(t, lim, head+c.in, "open "+c.want)
	}
	deep := strings.Repeat("<a>", 1024) + strings.Repeat("</a>", 1024)
	if got := play(t, Limits{Depth: 1024}, head+deep); got != "open "+deep {
		t.Error("1024 levels are refused:", got[:100])
	}
	if got := play(t, Limits{Depth: 1023}, head+deep); got != "open !policy-violation" {
		t.Error("1024 levels pass a limit of 1023")
	}
}

// Declarations are bounded by what is in scope at once, below the top-level element: there an edit puts more of them,
// which must not make a stanza too much for the next Scanner.
func TestBindingsInScope(t *testing.T) {
	level := func(name string, n int) string {
		tag := "<" + name
		for i := range n {
			tag += fmt.Sprintf(" xmlns:%s%d='u'", name, i)
		}
		return tag + ">"
	}
	nest := func(top, last int, in string) string {
		return level("m", top) + level("a", 64) + level("b", 64) + level("c", 64) + level("d", last) + in + "</d></c></b></a></m>"
	}
	least := nest(0, 64, "")
	for _, c := range []struct{ name, in, want string }{
		{"as many as may be", least, least},
		{"one more", nest(0, 64, "<e xmlns='u'/>"), "!policy-violation"},
		{"one more beside", nest(0, 63, "<e xmlns='u'/><e xmlns='v'/>"), nest(0, 63, "<e xmlns='u'/><e xmlns='v'/>")},
		{"the top-level element counts for nothing", nest(64, 64, ""), nest(64, 64, "")},
	} {
		if got := play(t, Limits{}, head+c.in); got != "open "+c.want {
			t.Errorf("%s: %.100s", c.name, got)
		}
		if got := play(t, Limits{}, strings.Split(head+c.in, "")...); got != "open "+c.want {
			t.Errorf("%s, by bytes: %.100s", c.name, got)
		}
	}

	prefixes := ""
	for i := range 30 {
		prefixes += fmt.Sprintf(" xmlns:r%d='r'", i)
	}
	in := nest(0, 64, "<r0:x r29:y=''/>")
	s, h := NewScanner(Limits{}), new(Header)
	if _, _, err := s.Next([]byte(strings.Replace(head, " to", prefixes+" to", 1)), h); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Next([]byte(in), h); err != nil {
		t.Fatal(err)
	}
	edited := string(h.AppendEdited(nil, &Edit{Prefixes: s.StreamHeader().Prefixes}))
	if got := play(t, Limits{}, head+edited); got != "open "+edited || !strings.Contains(edited, "xmlns:r29='r'") {
		t.Errorf("edited: %.100s", got)
	}
}
