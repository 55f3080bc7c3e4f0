package ctl

import (
	"github.com/patchbay-im/patchbay/internal/say"
	"testing"
	"time"
)

func FuzzCut(f *testing.F) {
	f.Add("a\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		once := say.Clean(s)
		if cut := cut(once, 10); width(cut) > 10 {
			t.Errorf("%q is cut to %q", s, cut)
		}
	})
}

func TestFigures(t *testing.T) {
	for want, got := range map[string]string{
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
