package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Visible shows bytes as they were on the wire, so that they can act neither on a terminal nor on a page: line ends and
// tabs as <CR>, <LF> and <TAB>, any other control character and what is no UTF-8 as \x00, and what cannot be seen or
// turns the direction of text as \u{202E}.
func Visible(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		text, n := next(b)
		out.WriteString(text)
		b = b[n:]
	}
	return out.String()
}

// next shows the first character, of n bytes.
func next(b []byte) (text string, n int) {
	r, n := utf8.DecodeRune(b)
	return visible(r, b[:n]), n
}

func visible(r rune, raw []byte) string {
	switch {
	case r == '\r':
		return "<CR>"
	case r == '\n':
		return "<LF>"
	case r == '\t':
		return "<TAB>"
	case r == utf8.RuneError && len(raw) == 1, r < ' ', r == 0x7f:
		return fmt.Sprintf(`\x%02X`, raw[0])
	case !unicode.IsPrint(r):
		return fmt.Sprintf(`\u{%X}`, r)
	}
	return string(raw)
}

// cut shows at most so many bytes of b, and says how many there are beyond.
func cut(b []byte, most int) string {
	kept := head(b, most)
	if len(kept) == len(b) {
		return Visible(b)
	}
	return fmt.Sprintf("%s ... and %s more", Visible(kept), count(len(b)-len(kept), "byte"))
}

// head gives at most so many bytes of b, and no part of a character.
func head(b []byte, most int) []byte {
	if len(b) <= most {
		return b
	}
	for n := most; n > most-utf8.UTFMax && n > 0; n-- {
		if utf8.RuneStart(b[n]) {
			return b[:n]
		}
	}
	return b[:most]
}

// count writes a number with its noun: 1 byte, 12,000 bytes.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number writes 12000 as 12,000.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span writes how long something took: 3 ms, 1.2 s, 48.2 s, 2 min 05 s.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}
