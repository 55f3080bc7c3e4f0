package wire

import (
	"regexp"
	"strings"
)

// entities are those that need no declaration (XML 1.0 4.6).
var entities = map[string]rune{"lt": '<', "gt": '>', "amp": '&', "apos": '\'', "quot": '"'}

// declarationForm is what follows <?xml (XML 1.0 2.8); RFC 6120 11.8 asks for version 1.0. The group is the encoding.
var declarationForm = regexp.MustCompile(`^[ \t\n]+version[ \t\n]*=[ \t\n]*(?:'1\.0'|"1\.0")` +
	`(?:[ \t\n]+encoding[ \t\n]*=[ \t\n]*('[A-Za-z][A-Za-z0-9._-]*'|"[A-Za-z][A-Za-z0-9._-]*"))?` +
	`(?:[ \t\n]+standalone[ \t\n]*=[ \t\n]*(?:'(?:yes|no)'|"(?:yes|no)"))?[ \t\n]*\?>$`)

// isChar reports whether XML 1.0 2.2 allows a character.
func isChar(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || 0x20 <= c && c <= 0xD7FF || 0xE000 <= c && c <= 0xFFFD || 0x10000 <= c && c <= 0x10FFFF
}

// isSpace reports whether a character is white space (XML 1.0 2.3); a literal CR was made LF before.
func isSpace(c rune) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// nameStarts are the ranges of NameStartChar, nameMore what NameChar has beyond it (XML 1.0 fifth edition, 2.3).
var (
	nameStarts = [...][2]rune{
		{':', ':'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x2FF}, {0x370, 0x37D}, {0x37F, 0x1FFF},
		{0x200C, 0x200D}, {0x2070, 0x218F}, {0x2C00, 0x2FEF}, {0x3001, 0xD7FF}, {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF},
	}
	nameMore = [...][2]rune{{'-', '.'}, {'0', '9'}, {0xB7, 0xB7}, {0x300, 0x36F}, {0x203F, 0x2040}}
)

func within(c rune, ranges [][2]rune) bool {
	for _, in := range ranges {
		if in[0] <= c && c <= in[1] {
			return true
		}
	}
	return false
}

func isNameStart(c rune) bool { return within(c, nameStarts[:]) }

func isName(c rune) bool { return isNameStart(c) || within(c, nameMore[:]) }

// isNCName reports whether s is a name without a colon (Namespaces in XML 1.0, 4).
func isNCName(s string) bool {
	for i, c := range s {
		if c == ':' || !isName(c) || i == 0 && !isNameStart(c) {
			return false
		}
	}
	return s != ""
}

// charOf gives the character of a reference's digits, with x before them if they are hexadecimal; -1 if there is no such
// code point.
func charOf(digits string) rune {
	base := rune(10)
	if rest, hex := strings.CutPrefix(digits, "x"); hex {
		base, digits = 16, rest
	}
	c := rune(0)
	for _, d := range []byte(digits) {
		switch {
		case d >= 'a':
			d -= 'a' - 10
		case d >= 'A':
			d -= 'A' - 10
		default:
			d -= '0'
		}
		if c = c*base + rune(d); c > 0x10FFFF {
			return -1
		}
	}
	return c
}
