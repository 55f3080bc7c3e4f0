package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// numberKind is a whole number from lo to hi.
func numberKind(lo, hi int) kind[int] {
	span := fmt.Sprintf("%d to %d", lo, hi)
	return kind[int]{name: "a number", span: span, form: form{pattern: "^[0-9]+$", lo: int64(lo), hi: int64(hi)}, write: strconv.Itoa, read: func(text string, _ scope) (int, *problem) {
		n, err := strconv.Atoi(text)
		if err != nil || strings.HasPrefix(text, "+") {
			return 0, &problem{codeNumber, "is not a whole number", span}
		}
		return within(n, lo, hi, span)
	}}
}

// sizeKind is a number of bytes from lo to hi.
func sizeKind[T int | int64](lo, hi int) kind[T] {
	span := formatSize(lo) + " to " + formatSize(hi)
	return kind[T]{name: "a size", span: span, form: form{pattern: "^[0-9]+([KMG]iB)?$", lo: int64(lo), hi: int64(hi)}, write: writeSize[T], read: func(text string, _ scope) (T, *problem) {
		n, ok := parseSize(text)
		if !ok {
			return 0, &problem{codeSize, "is not a size", mendSize(text)}
		}
		return within(T(n), T(lo), T(hi), span)
	}}
}

// timeKind is a duration from lo to hi.
func timeKind(lo, hi time.Duration) kind[time.Duration] {
	span := formatTime(lo) + " to " + formatTime(hi)
	return kind[time.Duration]{name: "a duration", span: span, form: form{pattern: durationForm}, write: writeTime, read: func(text string, _ scope) (time.Duration, *problem) {
		d, err := time.ParseDuration(text)
		if err != nil || !duration.MatchString(text) {
			return 0, &problem{codeTime, "is not a duration", mendTime(text)}
		}
		return within(d, lo, hi, span)
	}}
}

func within[T int | int64 | time.Duration](v, lo, hi T, span string) (T, *problem) {
	switch {
	case v < lo:
		return 0, &problem{codeRange, "is too small", span}
	case v > hi:
		return 0, &problem{codeRange, "is too large", span}
	}
	return v, nil
}

// sizes are the units of a size, the largest first.
var sizes = []struct {
	unit  string
	bytes int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseSize(text string) (int, bool) {
	factor := 1
	for _, s := range sizes {
		if number, ok := strings.CutSuffix(text, s.unit); ok {
			text, factor = number, s.bytes
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n) * factor, err == nil
}

// writeSize gives a size as the file holds it.
func writeSize[T int | int64](size T) string {
	n := int(size)
	for _, s := range sizes {
		if n >= s.bytes && n%s.bytes == 0 {
			return strconv.Itoa(n/s.bytes) + s.unit
		}
	}
	return strconv.Itoa(n)
}

// formatSize is writeSize for people.
func formatSize(n int) string {
	text := writeSize(n)
	if strings.HasSuffix(text, "B") {
		return text
	}
	return text + " bytes"
}

var (
	quantity = regexp.MustCompile(`^(\d{1,9})\s*([A-Za-z]*)$`)
	duration = regexp.MustCompile(durationForm) // narrower than Go's: no sign, no ns, no µs
)

const durationForm = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`

// mendSize gives what was probably meant: 256 kb is 256KiB.
func mendSize(text string) string {
	if m := quantity.FindStringSubmatch(text); m != nil && m[2] != "" {
		for _, s := range sizes {
			if strings.EqualFold(m[2][:1], s.unit[:1]) {
				return m[1] + s.unit
			}
		}
		if strings.EqualFold(m[2][:1], "b") {
			return m[1]
		}
	}
	return "bytes, or with KiB, MiB, GiB: 256KiB"
}

// spellings are what people write for the units of a duration; a day is 24 hours.
var spellings = map[string]struct {
	unit   string
	factor int
}{
	"": {"s", 1}, "sec": {"s", 1}, "secs": {"s", 1}, "second": {"s", 1}, "seconds": {"s", 1}, "s": {"s", 1},
	"min": {"m", 1}, "mins": {"m", 1}, "minute": {"m", 1}, "minutes": {"m", 1}, "m": {"m", 1},
	"hr": {"h", 1}, "hrs": {"h", 1}, "hour": {"h", 1}, "hours": {"h", 1}, "h": {"h", 1},
	"d": {"h", 24}, "day": {"h", 24}, "days": {"h", 24},
	"ms": {"ms", 1}, "msec": {"ms", 1}, "millis": {"ms", 1}, "milliseconds": {"ms", 1},
}

// mendTime gives what was probably meant: 72hours is 72h, 30 is 30s.
func mendTime(text string) string {
	if m := quantity.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		if s, ok := spellings[strings.ToLower(m[2])]; ok {
			return strconv.Itoa(n*s.factor) + s.unit
		}
	}
	return "a number with ms, s, m or h: 30s"
}

// formatTime is Duration.String without the zeros at its end: 1h, not 1h0m0s.
func formatTime(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// writeTime gives a duration as the file holds it: it has no unit below ms.
func writeTime(d time.Duration) string {
	if 0 < d && d < time.Millisecond {
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
	}
	return formatTime(d)
}
