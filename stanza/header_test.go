package stanza

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestHeaderFields(t *testing.T) {
	in := `<iq  to='a@b' type="get" id='&lt;1' from='c' xml:lang='en'><p:ping  x='>'/><q xmlns='u'/></iq>`
	h := scanOne(t, prefixedHead, in)
	for _, c := range []struct{ name, got, want string }{
		{"name", string(h.In(h.Name)), "iq"}, {"rest", string(h.Raw[h.NameEnd:][:4]), "  to"},
		{"to", string(h.In(h.To.Value)), "a@b"}, {"cut", string(h.In(h.To.Outer)), "  to='a@b'"},
		{"from", string(h.In(h.From.Value)), "c"}, {"id", string(h.In(h.ID.Value)), "&lt;1"},
		{"lang", string(h.In(h.Lang.Value)), "en"}, {"child", string(h.In(h.Child)), "<p:ping  x='>'/>"},
		{"local", string(h.Local()), "iq"},
		{"rest of it", fmt.Sprint(h.Kind, h.Type, h.Children, h.RootPrefixes, h.XMLNS.Set(), h.ID.Escaped, h.To.Escaped), "iq 7 2 2 false true false"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.name, c.got, c.want)
		}
	}
	if !h.EqualAttr(h.ID, "<1") || h.EqualAttr(h.XMLNS, "") || h.EqualAttr(h.To, "a") {
		t.Error("EqualAttr is wrong")
	}
}

func TestKindsTypesFlags(t *testing.T) {
	for _, c := range []struct {
		in    string
		kind  Kind
		typ   Type
		flags Flags
	}{
		{`<message/>`, Message, TypeNone, 0},
		{`<message type='&#99;hat'/>`, Message, TypeChat, 0},
		{`<message type='get'/>`, Message, TypeUnknown, 0},
		{`<presence type='unavailable'/>`, Presence, TypeUnavailable, 0},
		{`<iq type='result' xmlns='jabber:client'/>`, IQ, TypeResult, FlagXMLNS},
		{`<iq type='error' xmlns='jabber:&#99;lient'><error/></iq>`, IQ, TypeError, FlagXMLNS | FlagError},
		{`<iq xmlns='jabber:server'/>`, Other, TypeNone, 0},
		{`<message xmlns='u'><error/></message>`, Other, TypeNone, 0},
		{`<message><x xmlns='u'><error/><y xmlns='jabber:client'/></x></message>`, Message, TypeNone, 0},
		{`<message><error xmlns='u'/></message>`, Message, TypeNone, 0},
		{`<message><body><b xmlns='jabber:client'/></body></message>`, Message, TypeNone, FlagNestedNS},
		{`<message><addresses xmlns='http://jabber.org/protocol/address'/></message>`, Message, TypeNone, FlagAddresses},
		{`<message xmlns:a='http://jabber.org/protocol/address'><a:addresses/></message>`, Message, TypeNone, FlagAddresses},
		{`<message><addresses/></message>`, Message, TypeNone, 0},
		{`<message><p:x/></message>`, Message, TypeNone, FlagRootPrefix},
		{`<stream:error/>`, Other, TypeNone, FlagRootPrefix},
		{`<handshake xmlns='jabber:component:accept'/>`, Other, TypeNone, FlagXMLNS},
	} {
		if h := scanOne(t, prefixedHead, c.in); h.Kind != c.kind || h.Type != c.typ || h.Flags != c.flags {
			t.Errorf("%s is %v, type %d, flags %b; want %v, %d, %b", c.in, h.Kind, h.Type, h.Flags, c.kind, c.typ, c.flags)
		}
	}
}

func TestSpace(t *testing.T) {
	s := NewScanner(Limits{})
	if _, _, err := s.Next([]byte(prefixedHead), new(Header)); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`<handshake/>`: NSComponent, `<r xmlns='urn:xmpp:sm:3'/>`: "urn:xmpp:sm:3", `<stream:error/>`: NSStream, `<p:a/>`: "urn:'p",
		`<p:a xmlns:p='&amp;'/>`: "&", `<a xmlns=''/>`: "", `<xml:a/>`: NSXML,
	} {
		h := new(Header)
		if tok, _, err := s.Next([]byte(in), h); tok != Element || string(s.Space(h)) != want {
			t.Errorf("%s is in %q, want %q (%v)", in, s.Space(h), want, err)
		}
	}
}

func TestStreamHeader(t *testing.T) {
	s := NewScanner(Limits{})
	in := `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' ` +
		`to='a&amp;b' from="c" id='1' version='1.0' xml:lang='en' db:x='y' z='&lt;'>`
	if tok, n, err := s.Next([]byte(in), new(Header)); tok != Open || n != len(in) || err != nil {
		t.Fatal(tok, n, err)
	}
	h := s.StreamHeader()
	want := StreamHeader{NS: "jabber:server", To: "a&b", From: "c", ID: "1", Version: "1.0", Lang: "en"}
	prefixes := []Prefix{{"stream", NSStream}, {"db", "jabber:server:dialback"}}
	extra := map[string]string{"jabber:server:dialback x": "y", "z": "<"}
	if !slices.Equal(h.Prefixes, prefixes) || !maps.Equal(h.Extra, extra) {
		t.Errorf("prefixes %v, others %v", h.Prefixes, h.Extra)
	}
	if h.NS != want.NS || h.To != want.To || h.From != want.From || h.ID != want.ID || h.Version != want.Version || h.Lang != want.Lang {
		t.Errorf("got %+v", h)
	}
}

// TestReset holds that an error and what was read before have no effect after Reset.
func TestReset(t *testing.T) {
	s, h := NewScanner(Limits{Attrs: 3}), new(Header)
	for _, in := range []string{prefixedHead + `<a xmlns:b='u'><b:c d='`, head + `<a><`, head + `<a></b>`, `<x`, head + tail} {
		for rest := []byte(in); len(rest) > 0; {
			_, n, err := s.Next(rest, h)
			if n == 0 || err != nil {
				break
			}
			rest = rest[n:]
		}
		s.Reset()
		in := []byte(strings.Replace(head, " to='n1.example'", "", 1) + `<message id='1'/>`)
		_, n, err := s.Next(in, h)
		if err != nil {
			t.Fatal(err)
		}
		if tok, _, err := s.Next(in[n:], h); tok != Element || h.Kind != Message || err != nil || len(s.StreamHeader().Prefixes) != 1 {
			t.Fatalf("after Reset: %v, %+v, %v", tok, h, err)
		}
		s.Reset()
	}
}

// TestScannerIsSmall guards the memory of a thousand idle links.
func TestScannerIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Scanner{}); n > 2560 {
		t.Errorf("a Scanner takes %d bytes", n)
	}
}

func TestScannerAllocates(t *testing.T) {
	s, h := NewScanner(Limits{}), new(Header)
	if _, _, err := s.Next([]byte(prefixedHead), h); err != nil {
		t.Fatal(err)
	}
	in := []byte(strings.Join(goodElements, "\n") + `<message><p:x/>` + strings.Repeat("<a>", 20) + strings.Repeat("</a>", 20) + `</message>`)
	if n := testing.AllocsPerRun(100, func() {
		for i := 0; i < len(in); {
			_, n, err := s.Next(in[i:], h)
			if err != nil {
				t.Fatal(err)
			}
			i += n
		}
	}); n != 0 {
		t.Errorf("scanning takes %v allocations", n)
	}
}

// TestDripIsLinear counts the bytes that a Scanner looks at when an element comes byte by byte.
func TestDripIsLinear(t *testing.T) {
	const size = 256 << 10
	long := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for _, c := range []struct{ name, in string }{
		{"text", "<a>" + long("text ") + "</a>"},
		{"brackets", "<a>" + long("]") + "</a>"},
		{"Cyrillic text", "<a>" + long("текст") + "</a>"},
		{"references", "<a>" + long("&#x10FFFF;") + "</a>"},
		{"CDATA", "<a><![CDATA[" + long("]]>"[:2]+" ") + "]]></a>"},
		{"attribute value", "<a b='" + long("value ") + "'/>"},
		{"attribute name", "<a " + long("name") + "=''/>"},
		{"element name", "<" + long("name") + "/>"},
		{"white space in tag", "<a" + long(" ") + "b" + long("\n") + "=" + long("\t") + "''" + long("\r") + ">" + "</a" + long(" ") + ">"},
		{"end tag", "<" + long("name") + "></" + long("name") + ">"},
		{"elements", "<a>" + long("<b c='d'>e</b>") + "</a>"},
		{"white space between", long(" ") + "<a/>"},
	} {
		s, h := NewScanner(Limits{Stanza: 16 * size, Tag: 8 * size}), new(Header)
		in := []byte(head + c.in)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		at, found := 0, false
		for i := range in {
			tok, n, err := s.Next(in[at:i+1], h)
			if err != nil {
				t.Fatal(c.name, err)
			}
			at += n
			found = found || tok == Element
		}
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > size {
			t.Errorf("%s: %d bytes allocated", c.name, after.TotalAlloc-before.TotalAlloc)
		}
		if most := int64(13 * len(in)); !found || s.work > most { // a reference is begun anew up to ten times
			t.Errorf("%s: %d bytes looked at for %d, element found: %v", c.name, s.work, len(in), found)
		}
	}
}
