package ctl

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
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

// width counts the columns that a text takes on a terminal.
func width(s string) int { return ansi.StringWidth(s) }

// cut shortens a text to columns and says so with an ellipsis.
func cut(s string, columns int) string { return ansi.Truncate(s, columns, "…") }

// pad fills a text to columns; right puts the room before it.
func pad(s string, columns int, right bool) string {
	room := strings.Repeat(" ", max(0, columns-width(s)))
	if right {
		return room + s
	}
	return s + room
}

// count writes 182401 as 182,401.
func count[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes "1 session" and "2 sessions".
func plural[N int | int64 | uint64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(n) + " " + word + "s"
}

// rate writes what happens per second: with one digit after the point where there is little of it.
func rate(f float64) string {
	if f > 0 && f < 9.95 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return count(int64(f + 0.5))
}

// size writes bytes as 0 B, 912 B, 1.1 MiB.
func size(n uint64) string {
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

// span writes how long something takes or has taken: 0.4 s, 22 s, 4 min 02 s, 3 h 20 min, 3d 04h.
func span(seconds float64) string {
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

// when writes a moment as part of a sentence: like since, and beyond a day 3d 04h ago.
func when(at, now time.Time, zone *time.Location) string {
	said := since(at, now, zone)
	if now.Sub(at) >= 24*time.Hour && !at.IsZero() {
		said += " ago"
	}
	return said
}

// since writes a moment as seen from now: the time of day with seconds within the last hour, without them within the
// last day, and before that how long ago it was.
func since(at, now time.Time, zone *time.Location) string {
	ago := now.Sub(at)
	switch {
	case at.IsZero():
		return "-"
	case ago < time.Hour:
		return at.In(zone).Format(time.TimeOnly)
	case ago < 24*time.Hour:
		return at.In(zone).Format("15:04")
	}
	return span(ago.Seconds())
}
