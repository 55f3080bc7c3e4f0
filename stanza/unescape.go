package stanza

import (
	"bytes"
	"unicode/utf8"
)

// entities are the five that XML declares and RFC 6120 11.1 allows.
var entities = [...]struct {
	name string
	char rune
}{{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"apos", '\''}, {"quot", '"'}}

// resolve reads a reference without its '&' and ';'. A number beyond Unicode gives a rune beyond it.
func resolve(ref []byte) (r rune, ok bool) {
	if len(ref) == 0 || ref[0] != '#' {
		for i := range entities {
			if entities[i].name == string(ref) {
				return entities[i].char, true
			}
		}
		return 0, false
	}
	digits, base := ref[1:], rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	for _, c := range digits {
		var d rune
		switch {
		case c >= '0' && c <= '9':
			d = rune(c - '0')
		case base == 16 && c|0x20 >= 'a' && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		default:
			return 0, false
		}
		r = min(r*base+d, utf8.MaxRune+1)
	}
	return r, len(digits) > 0
}

// AppendUnescaped appends the meaning of an attribute value as written: references resolved, white space
// normalised as XML 1.0 2.11 and 3.3.3 say. A reference that the Scanner would refuse is copied as it is.
func AppendUnescaped(dst, raw []byte) []byte { return appendUnescaped(dst, raw, "&\t\n\r") }

// AppendUnescapedText appends the meaning of character data as written (no markup in it): references
// resolved, line ends normalised as XML 1.0 2.11 says.
func AppendUnescapedText(dst, raw []byte) []byte { return appendUnescaped(dst, raw, "&\r") }

func appendUnescaped(dst, raw []byte, stops string) []byte {
	for {
		i := bytes.IndexAny(raw, stops)
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		c := raw[i]
		raw = raw[i+1:]
		switch {
		case c == '&':
			end := bytes.IndexByte(raw[:min(len(raw), maxReference)], ';')
			if end >= 0 {
				if r, ok := resolve(raw[:end]); ok {
					dst, raw = utf8.AppendRune(dst, r), raw[end+1:]
					continue
				}
			}
			dst = append(dst, c)
		case c == '\r' && len(raw) > 0 && raw[0] == '\n':
			// the line feed that follows stands for both
		case len(stops) > len("&\r"):
			dst = append(dst, ' ')
		default:
			dst = append(dst, '\n')
		}
	}
}

// appendLines appends the meaning of a CDATA section: only its line ends are normalised.
func appendLines(dst, raw []byte) []byte { return appendUnescaped(dst, raw, "\r") }

// AppendEscaped appends text as an attribute value, for either kind of quotes. White space other than the
// space becomes character references, for a parser would make it a space.
func AppendEscaped(dst, text []byte) []byte { return appendEscaped(dst, text, true) }

// AppendEscapedText appends text as character data. A carriage return becomes a character reference, for a
// parser would make it a line feed.
func AppendEscapedText(dst, text []byte) []byte { return appendEscaped(dst, text, false) }

func appendEscaped[T string | []byte](dst []byte, text T, attr bool) []byte {
	from := 0
	for i := range len(text) {
		c, s := text[i], ""
		switch {
		case c == '<':
			s = "&lt;"
		case c == '>':
			s = "&gt;"
		case c == '&':
			s = "&amp;"
		case c == '\r':
			s = "&#13;"
		case !attr:
		case c == '\'':
			s = "&apos;"
		case c == '"':
			s = "&quot;"
		case c == '\t':
			s = "&#9;"
		case c == '\n':
			s = "&#10;"
		}
		if s != "" {
			dst = append(append(dst, text[from:i]...), s...)
			from = i + 1
		}
	}
	return append(dst, text[from:]...)
}

// EqualAttr tells whether the attribute is there and means want.
func (h *Header) EqualAttr(a Attr, want string) bool {
	if !a.Set() {
		return false
	}
	v := h.In(a.Value)
	if a.Escaped {
		var room [128]byte
		v = AppendUnescaped(room[:0], v)
	}
	return string(v) == want
}
