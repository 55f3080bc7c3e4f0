package report

import (
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// The columns of a bar.
const (
	barWidth = 20
	leastBar = 8 // it gives no more of them to words
)

// bars count by section. On a terminal the line of a section is drawn again with each of its cases, and stays when its last
// case has come.
type bars struct {
	order []section
	all   map[section]int // cases of each
	done  map[section]tally
	open  section // whose line is on the screen now
	drawn bool
	wide  int // columns of the longest title
}

func newBars(cases []*conformance.Case) *bars {
	b := &bars{all: map[section]int{}, done: map[section]tally{}}
	for _, c := range cases {
		s := sectionOf(c)
		if b.all[s] == 0 {
			b.order = append(b.order, s)
		}
		b.all[s]++
		b.wide = max(b.wide, len(s.String()))
	}
	return b
}

type painter func(w conformance.Word, text string) string

// add counts a result.
func (b *bars) add(r *conformance.Result) {
	s := sectionOf(r.Case)
	if b.done[s] == nil {
		b.done[s] = tally{}
	}
	b.done[s][r.Word]++
}

// draw gives what is to be written on a terminal behind a case of a section.
func (b *bars) draw(s section, width int, paint painter) string {
	end := ""
	if b.open != s {
		end = b.leave(width, paint)
	}
	b.open, b.drawn = s, true
	return end + "\r" + b.line(s, width, paint) + "\x1b[K"
}

// leave ends the line of the section that is open: it stays if all of it has come, and else it is drawn over.
func (b *bars) leave(width int, paint painter) string {
	if !b.drawn {
		return ""
	}
	b.drawn = false
	if b.count(b.open) < b.all[b.open] {
		return ""
	}
	return "\r" + b.line(b.open, width, paint) + "\x1b[K\n"
}

// lines gives all sections.
func (b *bars) lines(paint painter) string {
	out := ""
	for _, s := range b.order {
		out += b.line(s, 0, paint) + "\n"
	}
	return out
}

// count is how many cases of a section have come.
func (b *bars) count(s section) (n int) {
	for _, of := range b.done[s] {
		n += of
	}
	return n
}

// line is one section: how much of it went as it should, and what is worth a word. A line longer than the terminal could not
// be drawn over, so the bar gives way, and words that have no room are left out.
func (b *bars) line(s section, width int, paint painter) string {
	t := b.done[s]
	play := b.all[s] - t[conformance.Skipped]
	title, count := fmt.Sprintf("  %-*s  ", b.wide, s), fmt.Sprintf("  %d/%d", t.good(), play)
	var said []conformance.Word
	long := 0
	for _, w := range words[1:] {
		if t[w] > 0 {
			said = append(said, w)
			long += len(saying(t, w))
		}
	}
	bar, room := barWidth, width-1-len(title)-len(count)
	if width > 0 {
		bar = min(bar, max(room-long, min(room, leastBar), 0))
	}
	full := bar * t.good() / max(play, 1)
	line := title + strings.Repeat("█", full) + strings.Repeat("░", bar-full) + count
	room -= bar
	for _, w := range said {
		word := saying(t, w)
		if room -= len(word); width == 0 || room >= 0 {
			line += paint(w, word)
		}
	}
	return line
}

// saying is how many cases a word was said of.
func saying(t tally, w conformance.Word) string { return fmt.Sprintf("   %d %s", t[w], past(w)) }

// past is a word as it is said of a number of cases: 3 failed.
func past(w conformance.Word) string {
	if w == conformance.Fail {
		return "failed"
	}
	return string(w)
}
