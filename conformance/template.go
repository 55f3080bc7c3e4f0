package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// template is a text with values in it that are known when it is used.
type template []part

// part is a piece of a template: bytes as they stand, so often, or a value.
type part struct {
	text  string
	times int    // of text
	name  string // of a value; then text is not used
	upper bool   // the value in capitals
}

// mostRepeated is the most bytes that one ${} may stand for.
const mostRepeated = 64 << 20

// parseTemplate reads a text with ${} in it. known tells whether a name has a value when the text is used. The error's offset
// counts from the beginning of the text.
func parseTemplate(text string, known func(name string) bool) (template, *syntaxError) {
	var t template
	for off := 0; off < len(text); {
		i := strings.Index(text[off:], "${")
		if i < 0 {
			return append(t, part{text: text[off:], times: 1}), nil
		}
		if i > 0 {
			t = append(t, part{text: text[off : off+i], times: 1})
		}
		off += i
		end := strings.IndexByte(text[off:], '}')
		if end < 0 {
			return nil, fault(off, 2, "${ has no } on this line")
		}
		p, err := parsePart(text[off+2:off+end], known)
		if err != "" {
			return nil, fault(off, end+1, err)
		}
		t = append(t, p)
		off += end + 1
	}
	return t, nil
}

// parsePart reads what stands in ${}.
func parsePart(in string, known func(string) bool) (p part, fault string) {
	word, rest, more := strings.Cut(in, " ")
	switch {
	case word == "fill" && more:
		rest += " x"
		fallthrough
	case word == "repeat" && more:
		number, text, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || text == "" {
			return part{}, word + " takes a number" + map[bool]string{true: " and a text"}[word == "repeat"]
		}
		if n*len(text) > mostRepeated {
			return part{}, fmt.Sprintf("that is %d bytes; %d are the most", n*len(text), mostRepeated)
		}
		return part{text: text, times: n}, ""
	case word == "upper" && more && known(rest):
		return part{name: rest, upper: true}, ""
	case more:
		return part{}, strconv.Quote(word) + " takes no text; there are fill, repeat and upper"
	case !known(in) && (in == needServer || in == needUsers):
		return part{}, "a play that speaks of ${" + in + "} says so among its facts: needs: " + in
	case !known(in):
		return part{}, "nothing is known as " + strconv.Quote(in) + " here: it must be kept before, by =$" + in
	}
	return part{name: in}, ""
}

// expand puts the values in.
func (t template) expand(value func(name string) string) string {
	var b strings.Builder
	for _, p := range t {
		if p.name != "" {
			v := value(p.name)
			if p.upper {
				v = strings.ToUpper(v)
			}
			b.WriteString(v)
			continue
		}
		b.WriteString(strings.Repeat(p.text, p.times))
	}
	return b.String()
}

// literal is a template of a text without values.
func literal(text string) template { return template{{text: text, times: 1}} }

// unquote reads a text in double quotes that stands at the beginning of s. It gives the text, and how many bytes of s it took.
func unquote(s string) (text string, n int, err *syntaxError) {
	var b strings.Builder
	for i := 1; i < len(s); {
		switch c := s[i]; c {
		case '"':
			return b.String(), i + 1, nil
		case '\\':
			r, taken := escape(s[i:])
			if taken == 0 {
				return "", 0, fault(i, min(2, len(s)-i), `there are \r \n \t \\ \" \xHH and \u{HEX}`)
			}
			b.WriteString(r)
			i += taken
		default:
			b.WriteByte(c)
			i++
		}
	}
	return "", 0, fault(0, 1, `the closing " is missing on this line`)
}

// escape reads one escape, and says how many bytes it takes; 0 if it is none.
func escape(s string) (text string, n int) {
	if len(s) < 2 {
		return "", 0
	}
	switch s[1] {
	case 'r':
		return "\r", 2
	case 'n':
		return "\n", 2
	case 't':
		return "\t", 2
	case '\\', '"':
		return s[1:2], 2
	case 'x':
		if len(s) < 4 {
			return "", 0
		}
		v, err := strconv.ParseUint(s[2:4], 16, 8)
		if err != nil {
			return "", 0
		}
		return string([]byte{byte(v)}), 4
	case 'u':
		end := strings.IndexByte(s, '}')
		if end < 4 || s[2] != '{' {
			return "", 0
		}
		v, err := strconv.ParseUint(s[3:end], 16, 32)
		if err != nil || v > 0x10FFFF {
			return "", 0
		}
		return string(rune(v)), end + 1
	}
	return "", 0
}

// quoted writes a text so that unquote reads it: for messages of what came.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
