package ctl

import (
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// Screen draws answers as text. Its methods are pure: the only clock is the Time of the answer.
type Screen struct {
	Width  int            // columns; 0: as many as it takes
	Wide   bool           // all columns, and what the words mean
	Colour bool           // paints; nothing is told by colour alone
	Zone   *time.Location // of the times shown; nil is UTC
}

// tone is how a text is painted.
type tone byte

const (
	plain tone = iota
	bold
	dim
	good
	warn
	bad
)

var sgr = [...]string{bold: "1", dim: "2", good: "32", warn: "33", bad: "31"}

// toneOf paints the words for how serious something is.
func toneOf(state string) tone {
	switch state {
	case api.OK:
		return good
	case api.Warning:
		return warn
	}
	return bad
}

// text is a piece of a line. Whoever made it, it is cleaned when it is drawn.
type text struct {
	s string
	t tone
}

func (s Screen) paint(x text) string { return s.dress(say.Clean(x.s), x.t) }

// dress colours a clean text.
func (s Screen) dress(clean string, t tone) string {
	if !s.Colour || t == plain || clean == "" {
		return clean
	}
	return "\x1b[" + sgr[t] + "m" + clean + "\x1b[0m"
}

func (s Screen) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

// page is lines in the making.
type page struct {
	Screen
	now time.Time // of the answer
	b   strings.Builder
}

func (s Screen) page(now time.Time) *page { return &page{Screen: s, now: now} }

// String gives the page; each line of it ends with a newline, and none with a space.
func (p *page) String() string { return p.b.String() }

// line adds a line made of pieces.
func (p *page) line(pieces ...text) {
	var b strings.Builder
	for _, x := range pieces {
		b.WriteString(p.paint(x))
	}
	p.b.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

// say adds a line without paint.
func (p *page) say(s string) { p.line(text{s, plain}) }

// wrap adds a text behind a head, in as many lines as the width asks for; later lines begin under the text.
func (p *page) wrap(head text, s string) {
	p.groups(head, " ", strings.Fields(say.Clean(s)), plain)
}

// groups is wrap for pieces that stay whole, and are divided by sep where they share a line. They are clean.
func (p *page) groups(head text, sep string, pieces []string, t tone) {
	lead := p.paint(head)
	indent := strings.Repeat(" ", width(say.Clean(head.s)))
	line := ""
	flush := func() {
		p.b.WriteString(strings.TrimRight(lead+p.dress(line, t), " ") + "\n")
		lead, line = indent, ""
	}
	for _, piece := range pieces {
		if line != "" && p.Width > 0 && len(indent)+width(line+sep+piece) > p.Width {
			flush()
		}
		if line != "" {
			line += sep
		}
		line += piece
	}
	flush()
}

// stamp is a time of day.
func (p *page) stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.In(p.zone()).Format(time.TimeOnly)
}

// since writes a moment as seen from the time of the answer.
func (p *page) since(at time.Time) string { return since(at, p.now, p.zone()) }

// when writes a moment as part of a sentence.
func (p *page) when(at time.Time) string { return when(at, p.now, p.zone()) }

// findings adds what is wrong, one finding after the other, each with its mend.
func (p *page) findings(all []api.Finding) {
	for _, f := range all {
		mark := text{"! ", toneOf(f.State)}
		if f.State == api.Failed {
			mark.s = "!! "
		}
		p.wrap(mark, f.Message)
		if f.Mend != "" {
			p.wrap(text{strings.Repeat(" ", len(mark.s)) + "mend: ", dim}, f.Mend)
		}
	}
}
