package stanza

import (
	"sort"
	"unicode/utf8"
)

// What a byte below 0x80 may be; bytes from 0x80 on have no bit and are read as characters.
const (
	isSpace  = 1 << iota // S, XML 1.0 [3]
	isStart              // first character of an NCName
	isName               // later character of an NCName
	isText               // text that needs no look: not < > & nor a control
	isValue              // attribute value that needs no look: not < & " ' nor a control
	isEntity             // within a reference
)

// class is the table that the byte loops read: one load and one test per byte.
var class = buildClass()

func buildClass() (t [256]uint8) {
	for c := 0; c < 0x80; c++ {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		digit := c >= '0' && c <= '9'
		set := func(yes bool, bit uint8) {
			if yes {
				t[c] |= bit
			}
		}
		set(c == ' ' || c == '\t' || c == '\n' || c == '\r', isSpace)
		set(letter, isStart)
		set(letter || digit || c == '-' || c == '.', isName)
		set(c >= 0x20 && c != '<' && c != '>' && c != '&', isText)
		set(c >= 0x20 && c != '<' && c != '&' && c != '"' && c != '\'', isValue)
		set(letter || digit || c == '-' || c == '.' || c == '#' || c == ':', isEntity)
	}
	return t
}

// span of code points, both ends included.
type runes struct{ lo, hi rune }

// The non-ASCII characters of NameStartChar, XML 1.0 fifth edition [4].
var nameStart = []runes{
	{0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x2FF}, {0x370, 0x37D}, {0x37F, 0x1FFF}, {0x200C, 0x200D},
	{0x2070, 0x218F}, {0x2C00, 0x2FEF}, {0x3001, 0xD7FF}, {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF},
}

// The non-ASCII characters that NameChar [4a] adds to NameStartChar.
var nameMore = []runes{{0xB7, 0xB7}, {0x300, 0x36F}, {0x203F, 0x2040}}

func within(table []runes, r rune) bool {
	k := sort.Search(len(table), func(i int) bool { return table[i].hi >= r })
	return k < len(table) && table[k].lo <= r
}

// isChar tells whether XML 1.0 [2] allows the code point in a document.
func isChar(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xD800:
		return true
	case r < 0xE000:
		return false
	}
	return r <= 0xFFFD || r >= 0x10000 && r <= utf8.MaxRune
}

// Answers of the functions that walk over bytes, beside an index.
const (
	more   = -1 // the bytes end inside the construct
	failed = -2 // not allowed
)

// char reads the non-ASCII character at i: the character and the index behind it, or more, or failed for
// bytes that are no UTF-8 (RFC 3629: shortest form, no surrogate, not above U+10FFFF) or no XML Char.
func char(b []byte, i int) (rune, int) {
	r, n := utf8.DecodeRune(b[i:])
	if r == utf8.RuneError && n <= 1 {
		if utf8.FullRune(b[i:]) {
			return r, failed
		}
		return r, more
	}
	if r == 0xFFFE || r == 0xFFFF {
		return r, failed
	}
	return r, i + n
}
