package conformance

import "strings"

// unit is a text that stands on one or several lines of a file, and can say where each of its bytes is.
type unit struct {
	text  string
	lines []unitLine
}

// unitLine says where the bytes of a unit from off on stand.
type unitLine struct{ off, line, col int }

// from is the unit behind its first n bytes.
func (u unit) from(n int) unit {
	lines := make([]unitLine, 0, len(u.lines))
	for _, l := range u.lines {
		lines = append(lines, unitLine{l.off - n, l.line, l.col})
	}
	return unit{u.text[n:], lines}
}

// to is the first n bytes of the unit.
func (u unit) to(n int) unit { return unit{u.text[:n], u.lines} }

// trim is the unit without spaces around it.
func (u unit) trim() unit {
	u = u.from(len(u.text) - len(strings.TrimLeft(u.text, " ")))
	return u.to(len(strings.TrimRight(u.text, " ")))
}

// place says where some bytes of the unit stand.
func (u unit) place(off, width int) place {
	at := u.lines[0]
	for _, l := range u.lines {
		if l.off <= off {
			at = l
		}
	}
	return place{at.line, at.col + off - at.off, max(1, width)}
}

// all is the place of the whole unit, as far as it stands on its first line.
func (u unit) all() place { return u.place(0, len(u.text)) }

// cut gives the first word of the unit, and what is behind it.
func (u unit) cut() (word string, rest unit) {
	u = u.trim()
	n := strings.IndexByte(u.text, ' ')
	if n < 0 {
		n = len(u.text)
	}
	return u.text[:n], u.from(n).trim()
}

// line makes a unit of one line of the file, number i from 0, from a column on.
func (p *parser) line(i, col int) unit {
	return unit{p.c.Lines[i][col:], []unitLine{{0, i + 1, col}}}.trim()
}

// joined makes a unit of the rest of one line, and of the lines up to end, without the spaces they begin with.
func (p *parser) joined(first unit, i, end int) unit {
	u := unit{first.text, first.lines}
	for ; i < end; i++ {
		l := p.line(i, 0)
		at := l.lines[0]
		u.lines = append(u.lines, unitLine{len(u.text), at.line, at.col - at.off})
		u.text += l.text
	}
	return u
}
