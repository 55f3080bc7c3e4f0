package ctl

import (
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/patchbay-im/patchbay/internal/say"
)

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

// rate writes what happens per second: with one digit after the point where there is little of it.
func rate(f float64) string {
	if f > 0 && f < 9.95 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return say.Number(int64(f + 0.5))
}

// seconds writes a span that came as a number of seconds.
func seconds[N float64 | int64](n N) string {
	return say.Span(time.Duration(float64(n) * float64(time.Second)))
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
	return say.Span(ago)
}
