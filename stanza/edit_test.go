package stanza

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// prefixedHead declares prefixes and a language for its stanzas.
const prefixedHead = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' ` +
	`xmlns:p='urn:&apos;p' xmlns:q='urn:q' xml:lang='de'>`

var edits = []struct{ name, in, want string }{
	{"nothing to do", `<message to='a'/>`, `<message xml:lang='de' to='a'/>`},
	{"explicit namespace", `<message xmlns='jabber:component:accept' to='a'/>`, `<message xml:lang='de' to='a'/>`},
	{"namespace of clients, last", `<iq to='a'  xmlns = "jabber:client" ><q xmlns='u'/></iq>`, `<iq xml:lang='de' to='a' ><q xmlns='u'/></iq>`},
	{"nested", `<iq xml:lang='x'><error type='a' xmlns='jabber:client'><a xmlns='u'/></error><b xmlns='jabber:component:accept'/></iq>`,
		`<iq xml:lang='x'><error type='a'><a xmlns='u'/></error><b/></iq>`},
	{"nested, but foreign", `<iq xml:lang='x'><b xmlns='jabber:client'/><f xmlns='u'><message xmlns='jabber:client'/></f></iq>`,
		`<iq xml:lang='x'><b/><f xmlns='u'><message xmlns='jabber:client'/></f></iq>`},
	{"prefix of the stream", `<iq xml:lang='x'><p:a q:b=''/></iq>`, `<iq xmlns:p='urn:&apos;p' xmlns:q='urn:q' xml:lang='x'><p:a q:b=''/></iq>`},
	{"prefix declared again", `<iq xml:lang='x' xmlns:p='v'><p:a/><a xmlns:q='w' q:b=''/></iq>`, `<iq xml:lang='x' xmlns:p='v'><p:a/><a xmlns:q='w' q:b=''/></iq>`},
	{"prefix used and declared again", `<iq xml:lang='x'><p:a xmlns:p='v'/><p:b/></iq>`, `<iq xmlns:p='urn:&apos;p' xml:lang='x'><p:a xmlns:p='v'/><p:b/></iq>`},
}

func TestAppendEdited(t *testing.T) {
	s := NewScanner(Limits{})
	if _, _, err := s.Next([]byte(prefixedHead), new(Header)); err != nil {
		t.Fatal(err)
	}
	e := &Edit{Lang: s.StreamHeader().Lang, Prefixes: s.StreamHeader().Prefixes}
	for _, c := range edits {
		h := scanOne(t, prefixedHead, c.in)
		if got := string(h.AppendEdited([]byte("x"), e)); got != "x"+c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got[1:], c.want)
		}
		if need := c.want != c.in && !strings.HasPrefix(c.in, `<message to`); h.NeedsEdit() != need {
			t.Errorf("%s: NeedsEdit is %v", c.name, !need)
		}
	}
	h := scanOne(t, head, `<message from="f" xmlns='jabber:client' to='&amp;'/>`)
	e = &Edit{To: []byte(`a&'"<b`), From: []byte("c\n")}
	if got, want := string(h.AppendEdited(nil, e)), `<message from="c&#10;" to='a&amp;&apos;&quot;&lt;b'/>`; got != want {
		t.Errorf("addresses:\ngot  %s\nwant %s", got, want)
	}
	dst, e := make([]byte, 0, 1024), &Edit{To: []byte("y"), Lang: "en"}
	h = scanOne(t, head, `<iq xmlns='jabber:client' to='a'><error xmlns='jabber:client'/></iq>`)
	if n := testing.AllocsPerRun(100, func() { dst = h.AppendEdited(dst[:0], e) }); n != 0 {
		t.Errorf("AppendEdited takes %v allocations", n)
	}
}

// FuzzEdit edits what the Scanner takes and puts it into a stream with another content namespace and without
// prefixes: the trees have to be the same but for the edit.
func FuzzEdit(f *testing.F) {
	for _, c := range edits {
		f.Add([]byte(c.in), "a@b/'c", "d", "en")
	}
	for _, e := range goodElements {
		f.Add([]byte(e), "", "x&y", "")
	}
	f.Fuzz(func(t *testing.T, data []byte, to, from, lang string) {
		for _, text := range []string{to, from, lang} {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !isChar(r) }) {
				t.Skip("no text of XML")
			}
		}
		s, h := NewScanner(Limits{}), new(Header)
		stream := append([]byte(prefixedHead), data...)
		_, n, err := s.Next(stream, h)
		if err != nil {
			t.Fatal(err)
		}
		tok, _, err := s.Next(stream[n:], h)
		if tok != Element || err != nil {
			return
		}
		e := &Edit{Lang: lang, Prefixes: s.StreamHeader().Prefixes}
		if to != "" {
			e.To = []byte(to)
		}
		if from != "" {
			e.From = []byte(from)
		}
		checkEdit(t, h, e)
	})
}

func checkEdit(t *testing.T, h *Header, e *Edit) {
	const other = `<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'>`
	before := slices.Concat([]byte(prefixedHead), h.Raw, []byte(tail))
	out := h.AppendEdited(nil, e)
	after := slices.Concat([]byte(other), out, []byte(`</s:stream>`))
	want, err := treeOf(before)
	if err != nil {
		if olderNames(err) {
			return
		}
		t.Fatalf("%q: %v", before, err)
	}
	got, err := treeOf(after)
	if err != nil {
		t.Fatalf("%q\nbecomes %q: %v", before, after, err)
	}
	want[0], got[0] = unedited.ReplaceAllString(want[0], ""), unedited.ReplaceAllString(got[0], "")
	if err := compareTrees(got, want); err != nil {
		t.Fatalf("%q\nbecomes %q\n%v", before, after, err)
	}
	again := scanOne(t, other, string(out))
	if again.NeedsEdit() || again.Kind != h.Kind || again.Type != h.Type || again.Children != h.Children {
		t.Fatalf("%q\nbecomes %q, which needs an edit again or is something else", before, out)
	}
	for _, c := range []struct {
		was, is Attr
		put     []byte
	}{{h.To, again.To, e.To}, {h.From, again.From, e.From}, {h.Lang, again.Lang, langOf(h, e)}, {h.ID, again.ID, nil}} {
		switch {
		case c.put != nil && !again.EqualAttr(c.is, string(c.put)),
			c.put == nil && (c.was.Set() != c.is.Set() || string(h.In(c.was.Value)) != string(again.In(c.is.Value))):
			t.Fatalf("%q\nbecomes %q, want %q", before, out, c.put)
		}
	}
}

// unedited are the attributes that an edit may change, as lines of trees show them.
var unedited = regexp.MustCompile(` \{(?:|` + regexp.QuoteMeta(NSXML) + `)\}(?:to|from|lang)="(?:[^"\\]|\\.)*"`)

func langOf(h *Header, e *Edit) []byte {
	if h.Lang.Set() || e.Lang == "" {
		return nil
	}
	return []byte(e.Lang)
}
