package report

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain <a/> 日本 é", "plain <a/> 日本 é"}, {"a\r\n\tb", "a<CR><LF><TAB>b"}, {"\x00\x1b[2J\x7f", `\x00\x1B[2J\x7F`}, {"a\xffb\xc3", `a\xFFb\xC3`},
		{"\u202egpj\u2066\u200b\ufeff", `\u{202E}gpj\u{2066}\u{200B}\u{FEFF}`}, {"\u009b", `\u{9B}`}, {"\u2028\u00a0", `\u{2028}\u{A0}`}, {"\ufffd", "\ufffd"}, {"", ""},
	} {
		if got := Visible([]byte(c.in)); got != c.want {
			t.Errorf("%q is shown as %s, want %s", c.in, got, c.want)
		}
	}
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc ... and 1 byte more"}, {"aé日本", 5, "aé ... and 6 bytes more"}, {strings.Repeat("x", 1_234_567), 0, " ... and 1,234,567 bytes more"},
		{"\x80\x80\x80\x80\x80\x80", 5, `\x80\x80\x80\x80\x80 ... and 1 byte more`},
	} {
		if got := cut([]byte(c.in), c.most); got != c.want {
			t.Errorf("%.20q cut at %d is %s, want %s", c.in, c.most, got, c.want)
		}
	}
}

// FuzzVisible: nothing that acts comes through, what stands for it is not shown again as something else, and pieces say
// the same.
func FuzzVisible(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		got := Visible([]byte(s))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is shown as %q", s, got)
		}
		if again := Visible([]byte(got)); again != got {
			t.Errorf("%q is shown as %q, and that as %q", s, got, again)
		}
		together := ""
		for _, p := range pieces([]byte(s), len(s)) {
			together += p.Text
		}
		if together != got {
			t.Errorf("%q in pieces is %q, want %q", s, together, got)
		}
	})
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 3 * ms: "3 ms", 999 * ms: "999 ms", 1200 * ms: "1.2 s", 48_200 * ms: "48.2 s", 125 * time.Second: "2 min 05 s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}
