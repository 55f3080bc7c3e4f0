package conformance

import (
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// expect reads what must come: args stand on the line of the step, the lines from i to before end go on with it.
func (p *parser) expect(s *step, args unit, i, end int) *misfit {
	args, bad := options(args, func(o string) bool { return number(o, "times ", &s.times) })
	if bad != nil {
		return bad
	}
	units := []unit{args}
	if args.text == "all" {
		s.all, units = true, nil
	}
	for ; i < end; i++ {
		u := p.line(i, 0)
		word, _ := u.cut()
		switch {
		case s.all, word == "or", word == "soft":
			units = append(units, u)
		default:
			units[len(units)-1] = p.joined(units[len(units)-1], i, i+1)
		}
	}
	if s.all && len(units) < 2 {
		return args.bad(0, len(args.text), "expect all takes two things or more, one a line below it")
	}
	for n, u := range units {
		a, bad := p.alternative(s, u, n > 0 && !s.all)
		if bad == nil && s.all && (a.seeks || len(a.whats) > 1 || !slices.Contains([]whatKind{wStanza, wElement, wXML, wStreamError}, a.whats[0].kind)) {
			bad = u.bad(0, len(u.text), "below expect all stands one thing a line: a stanza, an element or a stream error, and nothing behind it")
		}
		if bad != nil {
			return bad
		}
		s.alts = append(s.alts, a)
	}
	return nil
}

// alternative reads one of the right answers; further ones begin with or, or with soft.
func (p *parser) alternative(s *step, u unit, further bool) (a alternative, bad *misfit) {
	a.at = u.all()
	if further {
		var word string
		word, u = u.cut()
		a.soft = word == "soft"
	}
	if word, rest := u.cut(); word == "eventually" {
		a.seeks, u = true, rest
	}
	for {
		var w what
		if w, u, bad = p.what(u); bad != nil {
			return a, bad
		}
		a.whats = append(a.whats, w)
		word, rest := u.cut()
		if word != "then" {
			break
		}
		u = rest
	}
	word, rest := u.cut()
	if word == "within" {
		n, behind := rest.cut()
		name, behind := behind.cut()
		span, ok := parseSpan(n + " " + name)
		if !ok {
			return a, rest.bad(0, len(n), "within takes a time: 200 ms, or 3 s")
		}
		s.span = span
		word, rest = behind.cut()
		u = behind
	}
	if word == "--" {
		a.why = rest.text
		return a, nil
	}
	if word != "" {
		return a, u.bad(0, len(word), "nothing is known of "+word+" here; then, within and -- may stand behind what must come")
	}
	return a, nil
}

// what reads one thing to come.
func (p *parser) what(u unit) (w what, rest unit, bad *misfit) {
	if strings.HasPrefix(u.text, "<") {
		return p.whatXML(u)
	}
	word, rest := u.cut()
	w.at = u.place(0, len(word))
	switch word {
	case "message", "presence", "iq":
		w.kind, w.name = wStanza, word
	case "element":
		var name string
		name, rest = rest.cut()
		w.kind = wElement
		w.name, w.space, _ = strings.Cut(name, "@")
		if w.name == "" {
			return w, rest, u.bad(0, len(u.text), "element takes a name, and behind @ its namespace")
		}
	case "stream-error":
		at := rest
		var names string
		names, rest = rest.cut()
		w.kind, w.conditions = wStreamError, strings.Split(names, "|")
		for _, c := range w.conditions {
			if !slices.Contains(streamConditions, c) {
				return w, rest, at.bad(0, max(1, len(names)), "there is no stream error "+c+" (RFC 6120 4.9.3)")
			}
		}
	case "nothing":
		return p.nothing(w, rest)
	default:
		w.kind = whatKind(word)
		if !slices.Contains([]whatKind{wHeader, wHandshake, wEnd, wEOF, wClose, wGone}, w.kind) {
			return w, rest, u.bad(0, max(1, len(word)), "this cannot come; there are message, presence, iq, header, handshake, stream-error, element, an element in <>, end, eof, close, gone and nothing")
		}
	}
	marked := rest
	w.marks, rest, bad = p.marksOf(rest)
	if bad == nil && len(w.marks) > 0 && slices.Contains([]whatKind{wEnd, wEOF, wClose, wGone}, w.kind) {
		bad = marked.bad(0, max(1, len(marked.text)-len(rest.text)), word+" has no marks")
	}
	return w, rest, bad
}

// nothing reads how long nothing may come.
func (p *parser) nothing(w what, u unit) (what, unit, *misfit) {
	w.kind = wNothing
	word, rest := u.cut()
	switch word {
	case "for":
		n, behind := rest.cut()
		name, behind := behind.cut()
		span, ok := parseSpan(n + " " + name)
		if !ok {
			return w, u, rest.bad(0, len(n), "nothing for takes a time: 300 ms")
		}
		w.span = span
		return w, behind, nil
	case "until":
		actor, behind := rest.cut()
		if !slices.Contains(p.c.Actors, actor) || p.c.Profile == Node {
			return w, u, rest.bad(0, max(1, len(actor)), "nothing until takes an actor that is attached: c1")
		}
		w.kind, w.actor = wMarker, actor
		return w, behind, nil
	}
	return w, u, u.bad(0, max(1, len(word)), "nothing is nothing for 300 ms, or nothing until c1")
}

// whatXML reads an element as it is to come.
func (p *parser) whatXML(u unit) (w what, rest unit, bad *misfit) {
	n := elementSpan(u.text)
	if n == 0 {
		return w, u, u.bad(0, 1, "this element has no end")
	}
	w.kind, w.at = wXML, u.place(0, n)
	w.xml, bad = p.element(u, 0, n)
	return w, u.from(n).trim(), bad
}

// element reads the template of an element, and tries whether it is one.
func (p *parser) element(u unit, off, end int) (template, *misfit) {
	t, err := parseTemplate(u.text[off:end], p.known)
	if err != nil {
		return nil, err.in(u, off)
	}
	try := t.expand(func(string) string { return "value" })
	if _, err := wire.Parse(try, nsComponent, streamPrefixes()); err != nil {
		return nil, u.bad(off, end-off, "this is no element: "+err.Error())
	}
	return t, nil
}

// elementSpan is how many bytes the element takes that a text begins with, 0 if it has no end.
func elementSpan(s string) int {
	depth := 0
	for i := 0; i < len(s); {
		if s[i] != '<' {
			i++
			continue
		}
		end := tagSpan(s[i:])
		if end == 0 {
			return 0
		}
		switch {
		case strings.HasPrefix(s[i:], "</"):
			depth--
		case s[i+end-2] != '/':
			depth++
		}
		i += end
		if depth <= 0 {
			return i
		}
	}
	return 0
}

// tagSpan is how many bytes a tag takes, 0 if it has no end.
func tagSpan(s string) int {
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return 0
}
