package conformance

import (
	"regexp"
	"strings"
)

// marks reads marks up to the end of the unit.
func (p *parser) marks(u unit) ([]mark, *misfit) {
	marks, rest, bad := p.marksOf(u)
	if bad == nil && rest.text != "" {
		bad = rest.bad(0, len(rest.text), "this is no mark: to='other.example'")
	}
	return marks, bad
}

// marksOf reads marks as long as there are some.
func (p *parser) marksOf(u unit) (marks []mark, rest unit, bad *misfit) {
	for {
		u = u.trim()
		form := markForm.FindString(u.text)
		if form == "" {
			return marks, u, nil
		}
		var m mark
		if m, u, bad = p.mark(u, form[:len(form)-1]); bad != nil {
			return nil, u, bad
		}
		marks = append(marks, m)
	}
}

// markForm is the key of a mark.
var markForm = regexp.MustCompile(`^[a-z][a-zA-Z0-9:_-]*=`)

// keepForm is the name under which a value is kept.
var keepForm = regexp.MustCompile(`^\$[a-z][a-z0-9]*$`)

// mark reads one mark, and says what is behind it.
func (p *parser) mark(u unit, key string) (m mark, rest unit, bad *misfit) {
	m.key = key
	off := len(key) + 1
	value := u.text[off:]
	width := strings.IndexByte(value+" ", ' ')
	switch {
	case key == "payload":
		if width = elementSpan(value); width == 0 {
			return m, u, u.bad(0, off, "payload takes the element that must be there: payload=<query xmlns='...'/>")
		}
		t, bad := p.element(u, off, off+width)
		if bad != nil {
			return m, u, bad
		}
		m.values = []template{t}
	case strings.HasPrefix(value, `"`), strings.HasPrefix(value, "'"):
		var t template
		if t, width, bad = p.quotedValue(u, off); bad != nil {
			return m, u, bad
		}
		m.values = []template{t}
	case strings.HasPrefix(value, "$") && !strings.HasPrefix(value, "${"):
		if !keepForm.MatchString(value[:width]) {
			return m, u, u.bad(off, width, "a value is kept under small letters and digits: id=$sid")
		}
		m.keep = value[1:width]
		p.kept[m.keep] = true
	default:
		width = bareSpan(value)
		for word := range strings.SplitSeq(value[:width], "|") {
			t, err := parseTemplate(word, p.known)
			if err != nil {
				return m, u, err.in(u, off)
			}
			m.values = append(m.values, t)
		}
	}
	m.at = u.place(0, off+width)
	if last := u.text[off+strings.LastIndexByte(u.text[off:off+width], '|')+1 : off+width]; key == "error" && !strings.Contains(last, "/") {
		return m, u, u.bad(off, width, "error is a type and a condition: error=cancel/service-unavailable, error=wait|cancel/gone, error=*/gone|*/redirect")
	}
	return m, u.from(off + width).trim(), nil
}

// bareSpan is how many bytes a value takes that has no quotes: up to a space that is not in ${}.
func bareSpan(s string) int {
	inside := false
	for i := range len(s) {
		switch {
		case s[i] == '{' && i > 0 && s[i-1] == '$':
			inside = true
		case s[i] == '}':
			inside = false
		case s[i] == ' ' && !inside:
			return i
		}
	}
	return len(s)
}

// quotedValue reads a value in quotes; in single ones nothing is escaped.
func (p *parser) quotedValue(u unit, off int) (t template, width int, bad *misfit) {
	value := u.text[off:]
	var text string
	if value[0] == '\'' {
		end := strings.IndexByte(value[1:], '\'')
		if end < 0 {
			return nil, 0, u.bad(off, 1, "the closing ' is missing")
		}
		text, width = value[1:end+1], end+2
	} else {
		var err *syntaxError
		if text, width, err = unquote(value); err != nil {
			return nil, 0, err.in(u, off)
		}
	}
	t, err := parseTemplate(text, p.known)
	if err != nil {
		return nil, 0, u.bad(off, width, err.what)
	}
	if len(t) == 0 {
		t = literal("")
	}
	return t, width, nil
}
