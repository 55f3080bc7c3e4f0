package component

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
)

func TestEncodeStanza(t *testing.T) {
	const id = ` id="m1"`
	tests := []struct{ name, in, want string }{ // want "": an error
		{"plain", `<message id="m1" from="a@b/c"><body>x</body></message>`, `<message id="m1" from="a@b/c"><body>x</body></message>`},
		{"from is filled", `<presence/>`, `<presence from="node1"></presence>`},
		{"explicit namespaces go", `<message xmlns="jabber:component:accept" id="m1"><body xmlns="jabber:component:accept">x</body></message>`,
			`<message id="m1" from="node1"><body>x</body></message>`},
		{"jabber:client too", `<iq xmlns="jabber:client" id="m1"><error/></iq>`, `<iq id="m1" from="node1"><error></error></iq>`},
		{"but not inside a foreign element", `<message id="m1"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"><body/></message></forwarded></message>`,
			`<message id="m1" from="node1"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"><body></body></message></forwarded></message>`},
		{"prefixes become declarations", `<message id="m1" xmlns:x="urn:x"><x:a><x:b/></x:a></message>`,
			`<message id="m1" from="node1"><a xmlns="urn:x"><b></b></a></message>`},
		{"xml:lang stays", `<message id="m1" xml:lang="de"/>`, `<message id="m1" xml:lang="de" from="node1"></message>`},
		{"escapes", "<message id=\"m1\"><body>&lt;&amp;&#13;\n\"</body></message>",
			"<message id=\"m1\" from=\"node1\"><body>&lt;&amp;&#xD;\n&#34;</body></message>"},
		{"no stanza", `<handshake/>`, ""},
		{"foreign stanza", `<message xmlns="urn:x"/>`, ""},
		{"text first", `x`, ""},
		{"comment", `<message id="m1"><!-- x --></message>`, ""},
		{"processing instruction", `<message id="m1"><?x y?></message>`, ""},
		{"not complete", `<message id="m1"><body>`, ""},
		{"nothing", ``, ""},
		{"an element whose name is none without its prefix", `<message id="m1"><a:0 xmlns:a="u"/></message>`, ""},
		{"an attribute whose name is none without its prefix", `<message id="m1"><x a:-b="" xmlns:a="u"/></message>`, ""},
		{"too large", `<message id="m1"><body>` + strings.Repeat("x", 1000) + `</body></message>`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := encodeStanza(xml.NewDecoder(strings.NewReader(tt.in)), "node1", 1000)
			if string(got) != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
	got, err := encodeStanza(stanza.IQ{Type: stanza.GetIQ}.Wrap(nil), "", 1000)
	if err != nil || !bytes.Contains(got, []byte(` id="`)) || bytes.Contains(got, []byte(id)) {
		t.Errorf("got %s, %v: no id was filled in", got, err)
	}
}

// What is encoded says the same as what went in: decoding gives the same elements and text.
func FuzzEncodeStanza(f *testing.F) {
	f.Add(`<message from="a@b/c"><body>x &amp; y</body><x xmlns="urn:x"><y/></x></message>`)
	f.Add(`<iq xmlns="jabber:client" type="get"><a:q xmlns:a="urn:a" a:b="c"/></iq>`)
	f.Fuzz(func(t *testing.T, in string) {
		raw, err := encodeStanza(xml.NewDecoder(strings.NewReader(in)), "node1", 1<<20)
		if err != nil {
			return
		}
		want, got := outline(t, in), outline(t, string(raw))
		if want != got {
			t.Fatalf("%q became %q\n%s\n%s", in, raw, want, got)
		}
	})
}

// outline lists the elements, with the stream's own namespaces as one, and the text of the first element in s.
func outline(t *testing.T, s string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	var b strings.Builder
	for depth, begun := 0, false; !begun || depth > 0; {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		switch tt := tok.(type) {
		case xml.StartElement:
			begun = true
			depth++
			space := tt.Name.Space
			if own(space) {
				space = ""
			}
			b.WriteString("<" + space + " " + tt.Name.Local + ">")
		case xml.EndElement:
			depth--
			b.WriteString("</>")
		case xml.CharData:
			b.Write(tt)
		}
	}
	return b.String()
}

func BenchmarkEncodeStanza(b *testing.B) {
	m := Message{Message: stanza.Message{ID: "m1", From: alice, To: bob, Type: stanza.ChatMessage}, Body: strings.Repeat("x", 130)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encodeStanza(m.TokenReader(), "node1.im.example", DefaultMaxStanza); err != nil {
			b.Fatal(err)
		}
	}
}

var _ xmlstream.TokenReadEncoder = (*handling)(nil)
var _ io.ByteReader = (*linkConn)(nil)
