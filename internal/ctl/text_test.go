package ctl

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
		if cut := cut(once, 10); width(cut) > 10 {
			t.Errorf("%q is cut to %q", s, cut)
		}
	})
}

func TestFigures(t *testing.T) {
	for want, got := range map[string]string{
		"182,401": count(182_401), "0": count(0), "999": count(uint64(999)), "1,000": count(1000), "-12,345": count(-12_345), "-345": count(-345),
		"1 session": plural(1, "session"), "0 sessions": plural(0, "session"),
		"0 B": size(0), "1023 B": size(1023), "1.0 KiB": size(1024), "1.1 MiB": size(1_153_434), "312 MiB": size(327_155_712), "1.0 GiB": size(1<<30 - 1),
		"16.0 EiB": size(1<<64 - 1), "18.0 GiB": size(18 << 30),
		"0 s": span(0.04), "0.4 s": span(0.4), "4 s": span(4), "22 s": span(22.2), "1 min": span(59.9), "5 min": span(300), "4 min 02 s": span(242), "3 h 20 min": span(12_000),
		"2 h": span(7200), "3d 04h": span(76 * 3600), "1d 00h": span(86_400),
		"4,210": rate(4210.4), "0/s": rate(0) + "/s", "0.4": rate(0.4), "10": rate(9.96), "1.2": rate(1.25),
		"5m": short(300), "90s": short(90), "1h": short(3600), "0s": short(0),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for want, d := range map[string]time.Duration{"14:02:11": 22 * time.Second, "11:20": 162 * time.Minute, "3d 04h": 76 * time.Hour, "14:02:38": -5 * time.Second} {
		if got := since(now.Add(-d), now, time.UTC); got != want {
			t.Errorf("%s ago is %s, want %s", d, got, want)
		}
	}
	if since(time.Time{}, now, time.UTC) != "-" {
		t.Error("no time is shown as one")
	}
}
