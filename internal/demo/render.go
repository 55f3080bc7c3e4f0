package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/patchbay-im/patchbay/internal/say"
)

const (
	narrow = 64 // below: nodes one under the other, events without nodes
	wide   = 96 // from here on: milliseconds and outcomes
)

// palette colours words; without colour it leaves them alone. Nothing is told by colour only.
type palette struct{ title, dim, good, warn, bad style }

// style is how a word is written.
type style struct{ ansi.Style }

// Render writes a word.
func (s style) Render(text string) string { return s.Styled(text) }

func newPalette(colour bool) palette {
	if !colour {
		return palette{}
	}
	paint := func(c ansi.BasicColor) style { return style{ansi.NewStyle().ForegroundColor(c)} }
	return palette{title: style{ansi.NewStyle().Bold()}, dim: paint(ansi.BrightBlack), good: paint(ansi.Green), warn: paint(ansi.Yellow), bad: paint(ansi.Red)}
}

// Render draws one screen. width and height are those of the terminal; no line is longer, and there are no more
// lines. Events that do not fit are left out, the oldest first.
func Render(s Snapshot, width, height int, colour bool) string {
	p := newPalette(colour)
	head := append(header(s, width, p), nodes(s, width, p)...)
	foot := footer(s, width, p)
	room := max(0, height-len(head)-len(foot)-2)
	events := s.Events[max(0, len(s.Events)-room):]
	lines := append(head, "")
	for _, e := range events {
		lines = append(lines, eventLine(e, width, p))
	}
	for range room - len(events) {
		lines = append(lines, "")
	}
	lines = append(append(lines, ""), foot...)
	for i, l := range lines {
		lines[i] = strings.TrimRight(ansi.Truncate(l, width, "…"), " ")
	}
	return strings.Join(lines[:min(len(lines), max(height, 1))], "\n")
}

func header(s Snapshot, width int, p palette) []string {
	parts := []string{p.title.Render("patchbay demo"), clean(s.Server), "up " + clock(s.Up), "component " + s.Component, s.HTTP}
	line := parts[0]
	for _, part := range parts[1:] {
		if ansi.StringWidth(line)+3+ansi.StringWidth(part) <= width {
			line += "   " + part
		}
	}
	return []string{line, ""}
}

// nodes draws the nodes side by side over the server, or one under the other.
func nodes(s Snapshot, width int, p palette) []string {
	hub, _, _ := strings.Cut(s.Server, ".")
	sum := fmt.Sprintf("%s   %s msg/s   p50 %s   p99 %s   %d sessions",
		clean(hub), say.Number(uint64(s.Rate+0.5)), millis(s.P50), millis(s.P99), s.Sessions)
	if width < narrow {
		sum = fmt.Sprintf("%s  %s msg/s  p99 %s", clean(hub), say.Number(uint64(s.Rate+0.5)), millis(s.P99))
	}
	if width < narrow || len(s.Nodes) == 0 {
		var lines []string
		for _, n := range s.Nodes {
			lines = append(lines, "  "+title(n, p)+"  "+traffic(n), "    "+users(n))
		}
		return append(lines, "  "+sum)
	}
	col := (width - 2) / len(s.Nodes)
	rows := make([]string, 3)
	for i := range rows {
		rows[i] = "  "
	}
	for _, n := range s.Nodes {
		for i, cell := range []string{title(n, p), users(n), traffic(n)} {
			rows[i] += pad(cell, col-2) + "  "
		}
	}
	return append(rows, branches(len(s.Nodes), col), center(sum, width))
}

func users(n NodeView) string {
	if len(n.Sessions) == 0 {
		return "(nobody)"
	}
	return clean(strings.Join(n.Sessions, "  "))
}

func title(n NodeView, p palette) string {
	grade := p.good.Render(n.Grade)
	if n.Draining {
		grade = p.good.Render(n.Grade + ", draining")
	}
	if n.Grade == Away {
		grade = p.bad.Render(n.Grade)
	}
	return p.title.Render(clean(n.Name)) + "  " + grade
}

func traffic(n NodeView) string {
	return fmt.Sprintf("%s in  %s out", say.Number(n.In), say.Number(n.Out))
}

// branches draws the lines from the nodes to the server: \____|____/.
func branches(n, col int) string {
	line := []rune(strings.Repeat(" ", 2+n*col))
	first, last := 2+6, 2+(n-1)*col+6
	for i := first; i <= last; i++ {
		line[i] = '_'
	}
	line[first], line[last] = '\\', '/'
	if n == 1 {
		line[first] = '|'
	}
	for k := 1; k < n-1; k++ {
		line[2+k*col+6] = '|'
	}
	return string(line)
}

// eventLine draws one event within width.
func eventLine(e Event, width int, p palette) string {
	stamp := e.Time.Format("15:04:05.000")
	if width < wide {
		stamp = stamp[:8]
	}
	line := "  " + p.dim.Render(stamp) + "  "
	tail := eventTail(e, width, p)
	room := width - ansi.StringWidth(line) - ansi.StringWidth(tail)
	return line + pad(eventText(e, width, p), room) + tail
}

func eventText(e Event, width int, p palette) string {
	from, to, column := clean(e.From), clean(e.To), 12
	if width < wide { // the resource would push the body out
		from, _, _ = strings.Cut(from, "/")
		to, _, _ = strings.Cut(to, "/")
		column = 6
	}
	switch {
	case e.Kind == Note:
		return p.warn.Render(clean(e.Note))
	case e.Kind == Moved:
		return pad(from, column) + "  " + pad(e.FromNode, 5) + " => " + pad(e.ToNode, 5) + "  " + clean(e.Note)
	case width < narrow:
		return pad(from, column) + " -> " + pad(to, column) + "  " + said(e, p)
	}
	return pad(from, column) + "  " + pad(e.FromNode, 5) + " -> " + pad(e.ToNode, 5) + "  " + pad(to, column) + "  " + said(e, p)
}

func said(e Event, p palette) string {
	text := strconv.Quote(e.Body)
	if e.Kind == Bounced {
		text += "  " + p.warn.Render(clean(e.Note))
	}
	return text
}

// eventTail is what stands at the right edge.
func eventTail(e Event, width int, p palette) string {
	var words []string
	if e.Latency > 0 {
		words = append(words, fmt.Sprintf("%9s", millis(e.Latency)))
	}
	if e.Outcome != "" && (width >= wide || e.Latency == 0) {
		style := p.good
		if e.Kind == Bounced {
			style = p.warn
		}
		outcome := clean(e.Outcome)
		if e.Latency > 0 {
			outcome = pad(outcome, 7) // the figures before it stand in one column
		}
		words = append(words, style.Render(outcome))
	}
	if len(words) == 0 {
		return ""
	}
	return "  " + strings.Join(words, "  ")
}

// footer is the ledger, the keys and the invitation; each wraps at word groups where it is too long.
func footer(s Snapshot, width int, p palette) []string {
	terms := []string{"accepted " + say.Number(s.Accepted)}
	if s.Made > 0 {
		terms = append(terms, "+ made "+say.Number(s.Made))
	}
	sign := "= "
	for i, c := range s.Ends {
		if i == 0 || c.N > 0 {
			terms = append(terms, sign+c.Word+" "+say.Number(c.N))
			sign = "+ "
		}
	}
	verdict := "  " + p.good.Render("every stanza accounted for")
	if !s.Balanced() {
		verdict = "  " + p.bad.Render("the ledger does not add up")
	}
	lines := wrap(append(terms, verdict), " ", width)
	var keys []string
	for _, k := range s.Keys {
		keys = append(keys, "["+k.Key+"] "+k.Text)
	}
	lines = append(lines, wrap(keys, "  ", width)...)
	if s.Attach != "" {
		lines = append(lines, "  Attach your own:  "+s.Attach)
	}
	return lines
}

func wrap(parts []string, sep string, width int) []string {
	var lines []string
	line := ""
	for _, part := range parts {
		if line != "" && ansi.StringWidth(line)+len(sep)+ansi.StringWidth(part) > width {
			lines, line = append(lines, line), ""
		}
		if line == "" {
			line = "  " + strings.TrimLeft(part, " ")
			continue
		}
		line += sep + part
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}

// pad cuts or fills s to n columns.
func pad(s string, n int) string {
	if n <= 0 {
		return ""
	}
	s = ansi.Truncate(s, n, "…")
	return s + strings.Repeat(" ", max(0, n-ansi.StringWidth(s)))
}

func center(s string, width int) string {
	return strings.Repeat(" ", max(2, (width-ansi.StringWidth(s))/2)) + s
}

// clean keeps text from acting on the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// millis writes a duration in milliseconds with two digits that count.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
