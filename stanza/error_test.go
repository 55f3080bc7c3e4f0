package stanza

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestAppendError(t *testing.T) {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
	e := &Error{Condition: "service-unavailable", App: "<offline xmlns='urn:patchbay:offline:1'/>"}
	for _, c := range []struct {
		in       string
		e        *Error
		to, from string
		want     string
	}{
		{`<message to="a'b" from='c&amp;' id = "x'y"><body>secret</body></message>`, e, "", "",
			`<message type='error' id="x'y" to='c&amp;' from="a'b"><error type='cancel'><service-unavailable` + ns +
				`/><offline xmlns='urn:patchbay:offline:1'/></error></message>`},
		{`<iq type='get' id='1'/>`, &Error{Type: "wait", Condition: "policy-violation", Text: "a<b", By: "h&"}, "n'", "s",
			`<iq type='error' id='1' to='n&apos;' from='s'><error type='wait' by='h&amp;'><policy-violation` + ns + `/><text` + ns +
				` xml:lang='en'>a&lt;b</text></error></iq>`},
		{`<presence/>`, &Error{Condition: "jid-malformed"}, "", "",
			`<presence type='error'><error type='modify'><jid-malformed` + ns + `/></error></presence>`},
	} {
		var to, from []byte
		if c.to != "" {
			to, from = []byte(c.to), []byte(c.from)
		}
		got := string(scanOne(t, head, c.in).AppendError(nil, c.e, to, from))
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.in, got, c.want)
		}
		if h := scanOne(t, head, got); h.Type != TypeError || h.Flags&FlagError == 0 || h.Answerable() {
			t.Errorf("%s is no error stanza", got)
		}
	}
}

func TestAnswerable(t *testing.T) {
	for in, want := range map[string]bool{
		`<message/>`: true, `<message type='error'/>`: false, `<iq type='result'/>`: false, `<iq type='get'/>`: true, `<iq/>`: true,
		`<presence type='error'/>`: false, `<handshake/>`: false, `<message type='result'/>`: true,
	} {
		if got := scanOne(t, head, in).Answerable(); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestConditions(t *testing.T) {
	if n := len(conditions); n != 22 {
		t.Errorf("RFC 6120 8.3.3 defines 22 conditions, the table has %d", n)
	}
	if ErrorType("gone") != "cancel" || ErrorType("none") != "" {
		t.Error("ErrorType is wrong")
	}
	if got := (&Error{Condition: "conflict", Text: "two"}).Error() + (&Error{Condition: "gone"}).Error(); got != "conflict: twogone" {
		t.Error(got)
	}
}

func TestStreamErrorXML(t *testing.T) {
	const app = `<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>`
	out := string((&StreamError{"policy-violation", "a<b & c", app}).AppendTo([]byte(head)))
	want := `<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'` +
		` xml:lang='en'>a&lt;b &amp; c</text>` + app + `</stream:error></stream:stream>`
	if out != head+want {
		t.Error(out)
	}
	d := xml.NewDecoder(strings.NewReader(out))
	for {
		if _, err := d.Token(); err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			return
		}
	}
}

func TestEscaping(t *testing.T) {
	text := "a<b>&'\"\t\n\r ü😀"
	if got := string(AppendUnescaped(nil, AppendEscaped(nil, []byte(text)))); got != text {
		t.Errorf("attribute: %q", got)
	}
	if got := string(AppendUnescapedText(nil, AppendEscapedText(nil, []byte(text)))); got != text {
		t.Errorf("text: %q", got)
	}
	for _, c := range []struct{ in, attr, text string }{
		{"a\r\nb\rc\nd\te", "a b c d e", "a\nb\nc\nd\te"}, {"&#13;&#x0a;&#9;", "\r\n\t", "\r\n\t"}, {"&lt;&nbsp;&&#;&#xZ;&", "<&nbsp;&&#;&#xZ;&", "<&nbsp;&&#;&#xZ;&"},
	} {
		if a, x := string(AppendUnescaped(nil, []byte(c.in))), string(AppendUnescapedText(nil, []byte(c.in))); a != c.attr || x != c.text {
			t.Errorf("%q: %q and %q", c.in, a, x)
		}
	}
}

func TestWalker(t *testing.T) {
	h := scanOne(t, prefixedHead, `<iq><q xmlns='u' a='&lt;' b="1">x<![CDATA[<y>]]>&amp;<r c='>'>no</r>z</q><p:s/><t>plain</t></iq>`)
	w := h.Walk()
	w.Prefixes = []Prefix{{"p", "urn:'p"}}
	var got strings.Builder
	for w.Next() {
		got.WriteString(strings.Repeat(".", w.Depth()) + string(w.Local()) + "{" + string(w.Space()) + "}" + string(w.AppendText(nil)))
		if v, escaped, ok := w.Attr("a"); ok != (string(w.Local()) == "q") || ok && (!escaped || string(v) != "&lt;") {
			t.Errorf("attribute a of %s: %s %v %v", w.Name(), v, escaped, ok)
		}
		if raw, escaped := w.Text(); string(w.Local()) == "t" && (escaped || string(raw) != "plain") {
			t.Errorf("text %q %v", raw, escaped)
		}
		if string(w.Local()) == "r" && string(w.Element()) != `<r c='>'>no</r>` {
			t.Errorf("element %q", w.Element())
		}
	}
	if want := `.iq{jabber:client}..q{u}x<y>&z...r{u}no..s{urn:'p}..t{jabber:client}plain`; got.String() != want {
		t.Errorf("got  %s\nwant %s", got.String(), want)
	}
	if w.Next() || WalkBytes(nil).raw != nil {
		t.Error("a Walker goes on after its end")
	}
}
