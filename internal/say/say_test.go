package say

import (
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"}, {`call\20me`, `call\20me`}, {`say "x"`, `say "x"`}, {"日本", "日本"}, {"e\u0301", "e\u0301"},
		{"\x1b[2J", `\x1b[2J`}, {"a\nb\tc\x00\x7f", `a\nb\tc\x00\x7f`}, {"\u202egpj", `\u202egpj`}, {"\u2066x\u2069\u200b\ufeff", `\u2066x\u2069\u200b\ufeff`},
		{"\x9b31m", `\x9b31m`}, {"\u009b", `\u009b`}, {"a\xffb", `a\xffb`}, {"\u2028", `\u2028`}, {"\u00a0", `\u00a0`},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("%q gives %s, want %s", c.in, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		once := Clean(s)
		if Clean(once) != once {
			t.Errorf("%q is cleaned to %q, and that to %q", s, once, Clean(once))
		}
	})
}

func TestFigures(t *testing.T) {
	span := func(seconds float64) string { return Span(time.Duration(seconds * float64(time.Second))) }
	for want, got := range map[string]string{
		"182,401": Number(182_401), "0": Number(0), "999": Number(uint64(999)), "1,000": Number(1000), "-12,345": Number(-12_345), "-345": Number(-345),
		"1,234,567": Number(uint64(1_234_567)), "1 session": Count(1, "session"), "0 sessions": Count(0, "session"), "2,000 sessions": Count(2000, "session"),
		"0 B": Size(0), "1023 B": Size(1023), "1.0 KiB": Size(1024), "1.1 MiB": Size(1_153_434), "312 MiB": Size(327_155_712), "1.0 GiB": Size(1<<30 - 1),
		"16.0 EiB": Size(1<<64 - 1), "18.0 GiB": Size(18 << 30), "2.5 GiB": Size(5 << 29),
		"0 s": span(0.04), "0.4 s": span(0.4), "4 s": span(4), "22 s": span(22.2), "59 s": span(59.4), "1 min": span(59.9), "5 min": span(300), "4 min 02 s": span(242), "3 h 20 min": span(12_000),
		"2 h": span(7200), "3d 04h": span(76 * 3600), "1d 00h": span(86_400),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := Span(-time.Second); got != "0 s" {
		t.Errorf("a second before is %s", got)
	}
}
