package stanza

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"mellium.im/xmpp/jid"
)

var addresses = []struct{ in, want, part string }{ // part: what is at fault, when it is no address
	{"alice@im.example/phone", "alice@im.example/phone", ""},
	{"im.example", "im.example", ""},
	{"im.example/a/b@c", "im.example/a/b@c", ""},
	{"a@b.c/ d ", "a@b.c/ d ", ""},
	{"A.Probe@IM.Example./R", "a.probe@im.example/R", ""},
	{"Алиса@ПРИМЕР.example/Т", "алиса@пример.example/Т", ""},
	{"a@xn--e1afmkfd.example", "a@пример.example", ""},
	{"127.0.0.1", "127.0.0.1", ""},
	{"a@[::1]/x", "a@[::1]/x", ""},
	{"", "", "domainpart"},
	{"@b", "", "localpart"},
	{"a@", "", "domainpart"},
	{"a@b/", "", "resourcepart"},
	{"a@/x", "", "domainpart"},
	{"a@b@c", "", "domainpart"},
	{"a b@c", "", "localpart"},
	{"a'b@c", "", "localpart"},
	{"a:b@c", "", "localpart"},
	{"a..b", "", "domainpart"},
	{".", "", "domainpart"},
	{"b..", "", "domainpart"},
	{"a\xff@b", "", "localpart"},
	{"b\xff", "", "domainpart"},
	{"b/\xff", "", "resourcepart"},
	{strings.Repeat("a", 1023) + "@b", strings.Repeat("a", 1023) + "@b", ""},
	{strings.Repeat("a", 1024) + "@b", "", "localpart"},
	{"b/" + strings.Repeat("a", 1023), "b/" + strings.Repeat("a", 1023), ""},
	{"b/" + strings.Repeat("a", 1024), "", "resourcepart"},
	{"b/" + strings.Repeat("a", 1022) + "й", "", "resourcepart"}, // the limit falls into a character
	{strings.Repeat("a", 1022) + "й@b", "", "localpart"},
	{strings.Repeat("й", 511) + "@b", strings.Repeat("й", 511) + "@b", ""},
}

func TestParseAddress(t *testing.T) {
	for _, c := range addresses {
		for _, escaped := range []bool{false, true} {
			in := []byte(c.in)
			if escaped {
				in = AppendEscaped(nil, in)
			}
			a, scratch, err := ParseAddress(in, escaped, []byte("before"))
			if !bytes.HasPrefix(scratch, []byte("before")) {
				t.Errorf("%q: scratch is now %q", c.in, scratch)
			}
			var fault *AddressError
			switch {
			case c.part == "" && (err != nil || a.String() != c.want):
				t.Errorf("%q: %q, %v, want %q", c.in, a, err, c.want)
			case c.part != "" && (!errors.As(err, &fault) || fault.Part != c.part || !a.IsZero()):
				t.Errorf("%q: %q, %v, want a fault of the %s", c.in, a, err, c.part)
			}
		}
	}
}

func TestAddressParts(t *testing.T) {
	for _, c := range []struct {
		in, bare, local, domain, resource string
	}{
		{"a@b/c", "a@b", "a", "b", "c"}, {"a@b", "a@b", "a", "b", ""}, {"b", "b", "", "b", ""}, {"b/c@d/e", "b", "", "b", "c@d/e"},
		{"А@Б/В", "а@б", "а", "б", "В"},
	} {
		a, _, err := ParseAddress([]byte(c.in), false, nil)
		if err != nil || string(a.Bare()) != c.bare || string(a.Local()) != c.local || string(a.Domain()) != c.domain ||
			string(a.Resource()) != c.resource || a.IsBare() != (c.resource == "") ||
			a.IsDomain() != (c.resource == "" && c.local == "") || !a.Equal(a.Clone()) || a.Equal(Address{}) {
			t.Errorf("%q: %q %q %q %q %v", c.in, a.Bare(), a.Local(), a.Domain(), a.Resource(), err)
		}
	}
}

func TestCloneIsOfItsOwn(t *testing.T) {
	raw := []byte("a@b/c")
	a, _, err := ParseAddress(raw, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := a.Clone()
	copy(raw, "xxxxx")
	if kept.String() != "a@b/c" {
		t.Errorf("the clone is now %q", kept)
	}
}

func TestParseAddressAllocates(t *testing.T) {
	raw, scratch := []byte("alice.b_c+d@node1.im.example/Phone (1) "), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := ParseAddress(raw, false, scratch); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a canonical address takes %v allocations", n)
	}
}

// FuzzAddress holds ParseAddress against the jid package: what the quick way takes is canonical, what either
// takes is the same for both, and a canonical form is its own canonical form.
func FuzzAddress(f *testing.F) {
	for _, c := range addresses {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 4096 {
			t.Skip("longer than any address")
		}
		want, wantErr := jid.Parse(in)
		if a, ok := plainAddress([]byte(in)); ok && (wantErr != nil || want.String() != in || a.String() != in) {
			t.Fatalf("quick way takes %q, jid: %q, %v", in, want, wantErr)
		}
		got, _, err := ParseAddress([]byte(in), false, nil)
		if err != nil {
			if wantErr == nil && checkDomain(want.Domainpart()) == nil && want.String() != "" {
				again, againErr := jid.Parse(want.String())
				if againErr == nil && again.String() == want.String() {
					t.Fatalf("%q is refused: %v, jid: %q", in, err, want)
				}
			}
			return
		}
		if wantErr != nil || got.String() != want.String() || string(got.Local()) != want.Localpart() ||
			string(got.Domain()) != want.Domainpart() || string(got.Resource()) != want.Resourcepart() {
			t.Fatalf("%q: %q, jid: %q, %v", in, got, want, wantErr)
		}
		again, _, err := ParseAddress(got.Bytes(), false, nil)
		if err != nil || !again.Equal(got) {
			t.Fatalf("%q: canonical %q, and again %q, %v", in, got, again, err)
		}
		if utf8.ValidString(in) {
			same, _, err := ParseAddress(AppendEscaped(nil, []byte(in)), true, nil)
			if err != nil || !same.Equal(got) {
				t.Fatalf("%q: %q, escaped %q, %v", in, got, same, err)
			}
		}
	})
}
