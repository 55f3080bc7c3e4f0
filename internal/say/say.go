// Package say writes figures and hostile text for people: in the findings of a server, on the screens of ctl and of the
// demo, in the log. One way of writing each, so that what stands side by side looks alike.
package say

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Clean shows what would act on a terminal (control characters, escapes, changes of direction) as \x1b and \u202e. A
// backslash stays one: addresses have them (XEP-0106), and are copied from the screen.
func Clean(s string) string {
	if !strings.ContainsFunc(s, notPrinted) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError || notPrinted(r) {
			q := strconv.Quote(s[:n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func notPrinted(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }

// Number writes 182401 as 182,401.
func Number[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count writes a number with its noun: 1 session, 2,000 sessions.
func Count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Number(n) + " " + noun + "s"
}

// Size writes bytes as 0 B, 912 B, 1.1 MiB.
func Size(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1023.95 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	if f >= 99.95 {
		return fmt.Sprintf("%.0f %ciB", f, "KMGTPE"[unit])
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[unit])
}

// Span writes how long something takes or has taken: 0.4 s, 22 s, 4 min 02 s, 3 h 20 min, 3d 04h. A negative one is 0 s.
func Span(d time.Duration) string {
	seconds := d.Seconds()
	if seconds < 0.05 {
		seconds = 0
	}
	if seconds > 0 && seconds < 9.95 && seconds != float64(int(seconds)) {
		return fmt.Sprintf("%.1f s", seconds)
	}
	s := int64(seconds + 0.5)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 24*3600 && s%3600 == 0:
		return fmt.Sprintf("%d h", s/3600)
	case s < 24*3600:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd %02dh", s/86400, s%86400/3600)
}
