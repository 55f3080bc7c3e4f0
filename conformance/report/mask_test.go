package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// TestMask: a secret is nowhere, however it was written.
func TestMask(t *testing.T) {
	m := NewMask("s3cret", `a<b&"c'`, "", "s3cret-longer")
	for _, c := range []struct{ in, want string }{
		{"no secret", "no secret"},
		{"<handshake>s3cret</handshake>", "<handshake>${c1.secret}</handshake>"},
		{"s3crets3cret s3cre s3cret-longe", "${c1.secret}${c1.secret} s3cre ${c1.secret}-longe"},
		{"s3cret-longer", "${c4.secret}"},
		{`a<b&"c'`, "${c2.secret}"},
		{`<a>a&lt;b&amp;"c'</a>`, "<a>${c2.secret}</a>"},
		{"<a>a&lt;b&amp;&quot;c&apos;</a>", "<a>${c2.secret}</a>"},
		{"<a>a&lt;b&amp;&#34;c&#39;</a>", "<a>${c2.secret}</a>"},
		{`body="a<b&\"c'"`, `body="${c2.secret}"`},
	} {
		r := m.Result(conformance.Result{Why: c.in, Fault: &conformance.Fault{Line: 3, Got: c.in}, Wire: []conformance.Record{{Actor: "c1", Kind: conformance.Sent, Bytes: []byte(c.in)}}})
		if r.Why != c.want || r.Fault.Got != c.want || string(r.Wire[0].Bytes) != c.want || r.Fault.Line != 3 {
			t.Errorf("%s is masked as %s, %s and %s; want %s", c.in, r.Why, r.Fault.Got, r.Wire[0].Bytes, c.want)
		}
	}
	run := handmade()
	run.Product = "s3cret 1.0"
	if got := m.Run(run); got.Product != "${c1.secret} 1.0" || len(got.Results) != len(run.Results) || run.Product != "s3cret 1.0" {
		t.Errorf("the run is %q", got.Product)
	}
}

// TestMaskPieces: a secret that came in pieces, between which others spoke, is masked, and nothing else is changed.
func TestMaskPieces(t *testing.T) {
	var wire []conformance.Record
	for _, b := range []byte("<a>s3cret</a>") {
		wire = append(wire, conformance.Record{Actor: "c1", Kind: conformance.Sent, Bytes: []byte{b}}, conformance.Record{Actor: "c2", Kind: conformance.Sent, Bytes: []byte("s")})
	}
	kept := slices.Clone(wire)
	got := NewMask("s3cret").Result(conformance.Result{Wire: wire}).Wire
	var c1, c2 []byte
	for _, r := range got {
		if r.Actor == "c1" {
			c1 = append(c1, r.Bytes...)
		} else {
			c2 = append(c2, r.Bytes...)
		}
	}
	if string(c1) != "<a>${c1.secret}</a>" || string(c2) != strings.Repeat("s", 13) || len(got) != 26 {
		t.Errorf("c1 sent %q, c2 sent %q", c1, c2)
	}
	for i := range wire {
		if !bytes.Equal(wire[i].Bytes, kept[i].Bytes) {
			t.Fatal("the records that were given were changed")
		}
	}
}

// FuzzMask: what comes out has no secret, however the text is cut; and a text without one stays as it is.
func FuzzMask(f *testing.F) {
	f.Add("x", "axbx", 1)
	f.Add("abab", "ababab", 3)
	f.Fuzz(func(t *testing.T, secret, text string, at int) {
		if secret == "" || strings.Contains("${c1.secret}", secret) || at < 0 || at > len(text) {
			return
		}
		parts := NewMask(secret).pieces([][]byte{[]byte(text[:at]), []byte(text[at:])})
		whole := string(slices.Concat(parts...))
		if strings.Contains(strings.ReplaceAll(whole, "${c1.secret}", "\x00"), secret) && !strings.Contains(secret, "\x00") {
			t.Errorf("%q without %q is %q", text, secret, whole)
		}
		if want := strings.ReplaceAll(text, secret, "${c1.secret}"); len(writings(secret)) == 1 && whole != want {
			t.Errorf("%q without %q is %q, want %q", text, secret, whole, want)
		}
	})
}
