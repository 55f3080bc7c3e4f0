package ctl

import (
	"github.com/patchbay-im/patchbay/internal/say"
	"slices"
	"strings"
)

// column is one column of a table.
type column struct {
	head  string
	right bool // numbers stand at the right
	wide  bool // shown only on a wide screen
	drop  int  // where there is no room the highest goes first; 0 stays
	cut   int  // it may be shortened to so many columns; 0: not at all
}

// table is rows under columns; each row has as many texts as there are columns.
type table struct {
	columns []column
	rows    [][]text
}

func (t *table) add(cells ...text) { t.rows = append(t.rows, cells) }

// tell makes a cell without paint.
func tell(s string) text { return text{s, plain} }

// layout is how a table is drawn.
type layout struct {
	shown []int // columns, from the left
	sizes []int // of all columns
	gap   int
}

func (l *layout) total() int {
	sum := l.gap * (len(l.shown) - 1)
	for _, i := range l.shown {
		sum += l.sizes[i]
	}
	return sum
}

// mostCell is how many columns a text has that may be cut, where there is room for any. Nodes choose their names: one of
// a thousand characters must not blow up each line of what goes into a pipe or a ticket.
const mostCell = 120

// fit lays a table out for a width, 0 being any: first the gaps shrink, then columns are left out, then texts are cut.
func (t *table) fit(room int, wide bool) layout {
	l := layout{sizes: t.sizes(), gap: 2}
	for i, c := range t.columns {
		if c.cut > 0 && !wide {
			l.sizes[i] = min(l.sizes[i], mostCell)
		}
		if (!c.wide || wide) && l.sizes[i] > 0 {
			l.shown = append(l.shown, i)
		}
	}
	if room <= 0 || l.total() <= room {
		return l
	}
	l.gap = 1
	for l.total() > room {
		worst := slices.MaxFunc(l.shown, func(a, b int) int { return t.columns[a].drop - t.columns[b].drop })
		if t.columns[worst].drop == 0 {
			break
		}
		l.shown = slices.DeleteFunc(l.shown, func(i int) bool { return i == worst })
	}
	for l.total() > room && t.narrow(&l) {
	}
	return l
}

// narrow takes one column of text from the widest that may be cut; false if there is none.
func (t *table) narrow(l *layout) bool {
	widest := -1
	for _, i := range l.shown {
		c := t.columns[i]
		if c.cut > 0 && l.sizes[i] > max(c.cut, width(c.head)) && (widest < 0 || l.sizes[i] > l.sizes[widest]) {
			widest = i
		}
	}
	if widest >= 0 {
		l.sizes[widest]--
	}
	return widest >= 0
}

// sizes gives what each column takes.
func (t *table) sizes() []int {
	sizes := make([]int, len(t.columns))
	for i, c := range t.columns {
		sizes[i] = width(c.head)
		for _, row := range t.rows {
			sizes[i] = max(sizes[i], width(say.Clean(row[i].s)))
		}
	}
	return sizes
}

// heads is the first line; nil if no column has a head.
func (t *table) heads() []text {
	heads, named := make([]text, len(t.columns)), false
	for i, c := range t.columns {
		heads[i], named = text{c.head, bold}, named || c.head != ""
	}
	if !named {
		return nil
	}
	return heads
}

// table adds a table behind a margin.
func (p *page) table(t table, margin int) {
	l := t.fit(p.Width-margin, p.Wide)
	rows := t.rows
	if heads := t.heads(); heads != nil {
		rows = append([][]text{heads}, rows...)
	}
	for _, row := range rows {
		line := strings.Repeat(" ", margin)
		for n, i := range l.shown {
			if n > 0 {
				line += strings.Repeat(" ", l.gap)
			}
			line += pad(p.dress(cut(say.Clean(row[i].s), l.sizes[i]), row[i].t), l.sizes[i], t.columns[i].right)
		}
		p.b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
