package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/patchbay-im/patchbay/conformance"
)

// barWidth is how many columns a whole section takes.
const barWidth = 20

// bars count by section while a run goes on: the line of a section is drawn again with each of its cases, and stays when
// its last case has come.
type bars struct {
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
		b.all[s]++
		b.wide = max(b.wide, len(s.String()))
	}
	return b
}

type painter func(w conformance.Word, text string) string

// add counts a result, and gives what is to be written.
func (b *bars) add(r *conformance.Result, width int, paint painter) string {
	s := sectionOf(r.Case)
	if b.done[s] == nil {
		b.done[s] = tally{}
	}
	b.done[s][r.Word]++
	end := ""
	if b.drawn && b.open != s {
		end = b.leave(width, paint)
	}
	b.open, b.drawn = s, true
	return end + "\r" + b.line(s, width, paint) + "\x1b[K"
}

// leave ends the line of the section that is open: it stays if all of it has come, and else it is drawn over.
func (b *bars) leave(width int, paint painter) string {
	b.drawn = false
	if b.count(b.open) < b.all[b.open] {
		return ""
	}
	return "\r" + b.line(b.open, width, paint) + "\x1b[K\n"
}

// end leaves the last section, and draws those that were cut off.
func (b *bars) end(width int, paint painter) string {
	out := ""
	if b.drawn {
		out = b.leave(width, paint)
	}
	for _, s := range sections {
		if n := b.count(s); n > 0 && n < b.all[s] {
			out += "\r" + b.line(s, width, paint) + "\x1b[K\n"
		}
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
// be drawn over, so words that have no room are left out.
func (b *bars) line(s section, width int, paint painter) string {
	t := b.done[s]
	play := b.all[s] - t[conformance.Skipped]
	full := barWidth * t.good() / max(play, 1)
	line := fmt.Sprintf("  %-*s  %s%s  %d/%d", b.wide, s, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), t.good(), play)
	room := width - 1 - utf8.RuneCountInString(line)
	for _, w := range words[1:] {
		word := fmt.Sprintf("   %d %s", t[w], past(w))
		if t[w] == 0 || width > 0 && room < len(word) {
			continue
		}
		room -= len(word)
		line += paint(w, word)
	}
	return line
}

// past is a word as it is said of a number of cases: 3 failed.
func past(w conformance.Word) string {
	if w == conformance.Fail {
		return "failed"
	}
	return string(w)
}
