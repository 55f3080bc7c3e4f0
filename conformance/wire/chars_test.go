package wire

import (
	"regexp"
	"testing"
)

// TestChars holds the characters against the productions, copied from the recommendation (fifth edition, 2.2 and 2.3).
func TestChars(t *testing.T) {
	const start = `:A-Z_a-z\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{2FF}\x{370}-\x{37D}\x{37F}-\x{1FFF}\x{200C}-\x{200D}` +
		`\x{2070}-\x{218F}\x{2C00}-\x{2FEF}\x{3001}-\x{D7FF}\x{F900}-\x{FDCF}\x{FDF0}-\x{FFFD}\x{10000}-\x{EFFFF}`
	forms := []struct {
		what string
		form *regexp.Regexp
		is   func(rune) bool
	}{
		{"Char", regexp.MustCompile(`^[\x{9}\x{A}\x{D}\x{20}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}]$`), isChar},
		{"NameStartChar", regexp.MustCompile(`^[` + start + `]$`), isNameStart},
		{"NameChar", regexp.MustCompile(`^[` + start + `\-.0-9\x{B7}\x{0300}-\x{036F}\x{203F}-\x{2040}]$`), isName},
	}
	for c := rune(0); c <= 0x10FFFF; c++ {
		if 0xD800 <= c && c <= 0xDFFF {
			if isChar(c) {
				t.Errorf("the surrogate U+%04X is a character", c)
			}
			continue // not in a string of Go
		}
		if last := c & 0xFFFF; c > 0xFFFF && 0x100 < last && last < 0xFF00 {
			continue // no range begins or ends there, and it takes long
		}
		text := []byte(string(c))
		for _, f := range forms {
			if f.is(c) != f.form.Match(text) {
				t.Errorf("U+%04X is %s: %v", c, f.what, f.is(c))
			}
		}
	}
}
