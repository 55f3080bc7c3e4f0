package conformance

import (
	"regexp"
	"slices"
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
		if bad := p.keeps(u, off, m); bad != nil {
			return m, u, bad
		}
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
	if wrong := misspelt(key, u.text[off:off+width]); wrong != "" {
		return m, u, u.bad(off, width, wrong)
	}
	return m, u.from(off + width).trim(), nil
}

// misspelt says what is wrong with the value of a mark, "" if nothing is. A mark that can never hold makes a case fail always, and
// one with "lacks" pass always.
func misspelt(key, value string) string {
	switch key {
	case "error":
		return misspeltError(strings.Split(value, "|"))
	case "has", "lacks":
		if !childForm.MatchString(value) {
			return "a child is query, query@jabber:iq:version, or item[jid=${c1}]; for several, several marks"
		}
	}
	return ""
}

// childForm is what stands behind has= and lacks=.
var childForm = regexp.MustCompile(`^[^][|]+(\[[^][|=]+=[^][|]*\])?$`)

// misspeltError looks at types and conditions, but not at those that hold a value.
func misspeltError(words []string) string {
	if !strings.Contains(words[len(words)-1], "/") {
		return "error is a type and a condition: error=cancel/service-unavailable, error=wait|cancel/gone, error=*/gone|*/redirect"
	}
	for _, w := range words {
		kind, cond, both := strings.Cut(w, "/")
		switch {
		case strings.Contains(w, "${"):
		case kind != "*" && !slices.Contains(errorTypes, kind):
			return "there is no error of type " + kind + "; there are " + strings.Join(errorTypes, ", ") + " (RFC 6120 8.3.2), and * for any"
		case both && cond != "*" && !slices.Contains(stanzaConditions, cond):
			return "there is no stanza error " + cond + " (RFC 6120 8.3.3)"
		}
	}
	return ""
}

// keeps holds what is kept to a name of its own, and to marks that speak of a value.
func (p *parser) keeps(u unit, off int, m mark) *misfit {
	switch {
	case slices.Contains([]string{"has", "lacks", "error"}, m.key):
		return u.bad(off, len(m.keep)+1, m.key+" is no value that can be kept")
	case !p.kept[m.keep] && (p.known(m.keep) || slices.Contains([]string{"server", "users", "node"}, m.keep)):
		return u.bad(off, len(m.keep)+1, m.keep+" is the name of something else")
	}
	return nil
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
