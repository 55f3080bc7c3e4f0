package wire

import (
	"strings"
	"testing"
)

const accept = "jabber:component:accept"

func parsed(t *testing.T, text string) *Element {
	t.Helper()
	e, err := Parse(text, accept, map[string]string{"stream": "http://etherx.jabber.org/streams", "p": "urn:p"})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return e
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{" <a/>\n", "<a xmlns='jabber:component:accept'/>"},
		{"<a/>\r", "<a xmlns='jabber:component:accept'/>"},
		{"<p:a p:b='1'/>", "<a xmlns='urn:p' xmlns:n0='urn:p' n0:b='1'/>"},
		{"<p:a xmlns:p='urn:q'/>", "<a xmlns='urn:q'/>"},
		{"<stream:error xmlns:q='u'><q:b/></stream:error>", "<error xmlns='http://etherx.jabber.org/streams'><b xmlns='u'/></error>"},
		{"", "!there is none"},
		{" \n", "!there is none"},
		{"a", "!more than one"},
		{"<a/>b", "!more than one"},
		{"<a/><b/>", "!more than one"},
		{"<a>", "!not whole"},
		{"<a", "!not whole"},
		{"<a></b>", "!read byte 3: not well-formed"},
		{"<q:a/>", "!the prefix q is not declared"},
		{"<!--a--><a/>", "!restricted"},
		{"</a>", "!not well-formed"},
	} {
		e, err := Parse(c.text, accept, map[string]string{"stream": "http://etherx.jabber.org/streams", "p": "urn:p"})
		if says, wrong := strings.CutPrefix(c.want, "!"); wrong {
			if err == nil || e != nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q: %v, %v, want %q", c.text, e, err, says)
			}
			continue
		}
		if err != nil || e.String() != c.want {
			t.Errorf("%q: %v, %v, want %s", c.text, e, err, c.want)
		}
	}
	for _, prefixes := range []map[string]string{{"xml": "u"}, {"xmlns": "u"}, {"a": ""}, {"a b": "u"}, {"": "u"}} {
		if _, err := Parse("<a/>", "", prefixes); err == nil {
			t.Errorf("%q is bound", prefixes)
		}
	}
	if e, err := Parse("<a><b/></a>", "", nil); err != nil || e.String() != "<a xmlns=''><b/></a>" {
		t.Errorf("without a namespace: %v, %v", e, err)
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"<a/>", "<a></a>", true},
		{"<a b='1' c='2'/>", `<a c="2" b="&#49;"/>`, true},
		{"<p:a p:b=''/>", "<a xmlns='urn:p' xmlns:q='urn:p' q:b=''/>", true},
		{"<a>x&amp;y</a>", "<a>x<![CDATA[&y]]></a>", true},
		{"<a> <b/>\n</a>", "<a><b/></a>", true},
		{"<a>\n<b/> <c/></a>", "<a><b/><c/>\t</a>", true},
		{"<a> </a>", "<a/>", false},
		{"<a>x <b/></a>", "<a>x<b/></a>", false},
		{"<a>x <b/></a>", "<a><b/></a>", false},
		{"<a> <b/></a>", "<a> x<b/></a>", false},
		{"<a><b/>x</a>", "<a>x<b/></a>", false},
		{"<a><b/><c/></a>", "<a><c/><b/></a>", false},
		{"<a><b/></a>", "<a>b</a>", false},
		{"<a><b/></a>", "<a><b/><b/></a>", false},
		{"<a><b>1</b></a>", "<a><b>2</b></a>", false},
		{"<a/>", "<b/>", false},
		{"<a/>", "<a xmlns=''/>", false},
		{"<a b=''/>", "<a/>", false},
		{"<a b=''/>", "<a c=''/>", false},
		{"<a b='1'/>", "<a b='2'/>", false},
		{"<a b='1'/>", "<a p:b='1'/>", false},
		{"<a b=' 1'/>", "<a b='1'/>", false},
	} {
		a, b := parsed(t, c.a), parsed(t, c.b)
		if Equal(a, b) != c.want || Equal(b, a) != c.want {
			t.Errorf("%s equals %s: not %v", c.a, c.b, c.want)
		}
		if !Equal(a, a) || Equal(a, nil) || Equal(nil, b) {
			t.Errorf("%s: is not itself, or nothing", c.a)
		}
		if a.String() == b.String() && !c.want {
			t.Errorf("%s and %s read the same: %s", c.a, c.b, a)
		}
	}
}

func TestHelpers(t *testing.T) {
	e := parsed(t, "<a b='1' xml:lang='de' p:c='2'>x<b n='1'><p:d/></b>y<p:b n='2'/><b n='3'/>z<d/></a>")
	if v, ok := e.Attr("b"); v != "1" || !ok {
		t.Errorf("Attr: %q, %v", v, ok)
	}
	if v, ok := e.Attr("c"); v != "" || ok {
		t.Errorf("Attr sees one of a namespace: %q", v)
	}
	if v, ok := e.Get(Name{"http://www.w3.org/XML/1998/namespace", "lang"}); v != "de" || !ok {
		t.Errorf("Get: %q, %v", v, ok)
	}
	if got := e.Text(); got != "xyz" {
		t.Errorf("Text: %q", got)
	}
	if got := len(e.Elements()); got != 4 {
		t.Errorf("%d elements", got)
	}
	of := func(e *Element) string {
		if e == nil {
			return "nil"
		}
		n, _ := e.Attr("n")
		return e.Prefix + ":" + e.Name.Local + n
	}
	for _, c := range []struct{ got, want string }{
		{of(e.Child("", "b")), ":b1"},
		{of(e.Child("urn:p", "b")), "p:b2"},
		{of(e.Child(accept, "b")), ":b1"},
		{of(e.Child("", "d")), ":d"},
		{of(e.Child("", "a")), "nil"},
		{of(e.Find("", "d")), "p:d"},
		{of(e.Find(accept, "d")), ":d"},
		{of(e.Find("", "a")), "nil"},
		{of(e.Find("urn:q", "d")), "nil"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
