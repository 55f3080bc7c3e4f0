package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// frame is what all pages share. They load nothing and run nothing: their policy permits their own style only.
type frame struct {
	Style  template.CSS
	Policy string
	Words  []conformance.Word
	Legend []meaning
}

// meaning is a word of a result, with a shape that stands for it beside its colour.
type meaning struct {
	Word  conformance.Word
	Mark  string
	Means string
}

var legend = []meaning{
	{conformance.Pass, "●", "it does what the source says"},
	{conformance.Soft, "◐", "it does what the source permits, though there is better"},
	{conformance.Fail, "■", "it does something else"},
	{conformance.Known, "▲", "it does something else, and the file of expectations says so, and why"},
	{conformance.Changed, "◆", "it does what the source says, and the file of expectations says that it does not"},
	{conformance.Skipped, "○", "it was not asked"},
}

// mark is the shape of a word.
func mark(w conformance.Word) string {
	for _, m := range legend {
		if m.Word == w {
			return m.Mark
		}
	}
	return ""
}

func newFrame() frame {
	style, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is part of the program
	}
	sum := sha256.Sum256(style)
	return frame{Style: template.CSS(style), Words: words, Legend: legend, Policy: "default-src 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"}
}

// The parts of the page of a run.
type (
	runPage struct {
		frame
		Name, Verdict, VerdictWord, Target, Profile, Safe string
		Started, Machine, Took, Version                   string
		Grade                                             Grade
		Count                                             int
		Counts                                            []int // by word
		Sections                                          []pageSection
		Levels                                            []pageSection
		Failed                                            []pageCase
	}
	pageSection struct {
		Title, Anchor string
		Count         int
		Counts        []int
		Bar           pageBar
		Cases         []pageCase
	}
	// pageBar is a section drawn, in parts of a hundred.
	pageBar struct {
		Good, Bad, Both, Named string
		Label                  string
	}
	pageCase struct {
		ID, Title, Source, About, Why, Place, Took, Mark, Got string
		Word                                                  conformance.Word
		Level                                                 conformance.Level
		Open, Ran                                             bool
		Play                                                  []pageLine
		Records, Before                                       string
		Wire                                                  []pageRecord
	}
	pageLine struct {
		No                  int
		Text, Before, Caret string
	}
	pageRecord struct {
		At, Way string
		Note    bool
		Long    bool // it scrolls by itself
		Pieces  []piece
	}
	// piece is a text, or what stands for a character that cannot be shown.
	piece struct {
		Text  string
		Shown bool
	}
)

// WriteHTML writes a run as one page that needs no other file: the sums, and each case with its play and its wire log.
func WriteHTML(w io.Writer, run *conformance.Run) error {
	p := runPage{frame: newFrame(), Name: nameOf(run), Target: Visible([]byte(run.Target)), Profile: string(run.Profile), Grade: GradeOf(run), Safe: safety(run),
		Started: stamp(run.Started), Machine: run.Started.UTC().Format(time.RFC3339), Took: span(run.Took), Version: run.Version}
	p.Verdict, _ = Verdict(run)
	known, _ := ofWord(run, conformance.Known)
	switch {
	case !run.Conforms():
		p.VerdictWord = string(conformance.Fail)
	case known > 0:
		p.VerdictWord = string(conformance.Known)
	default:
		p.VerdictWord = string(conformance.Pass)
	}
	sum := tally{}
	for _, g := range groups(run.Results) {
		s := sectionPage(g)
		for _, c := range s.Cases {
			sum[c.Word]++
			if c.Word == conformance.Fail || c.Word == conformance.Changed {
				p.Failed = append(p.Failed, c)
			}
		}
		p.Sections = append(p.Sections, s)
	}
	p.Count, p.Counts = len(run.Results), sum.counts()
	by := run.Tally()
	for _, l := range conformance.Levels {
		if t := tally(by[l]); t != nil {
			p.Levels = append(p.Levels, pageSection{Title: string(l), Count: t.ran(), Counts: t.counts()})
		}
	}
	return pages.ExecuteTemplate(w, "run.html", p)
}

// nameOf is what a run is called: the product, or where it is.
func nameOf(run *conformance.Run) string {
	if run.Product != "" {
		return cut([]byte(run.Product), 60)
	}
	return Visible([]byte(run.Target))
}

func safety(run *conformance.Run) string {
	if run.Safe {
		return "safe"
	}
	return "stress"
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// counts gives the numbers in the order of words.
func (t tally) counts() (all []int) {
	for _, w := range words {
		all = append(all, t[w])
	}
	return all
}

func sectionPage(g *group) pageSection {
	t := g.tally()
	s := pageSection{Title: g.String(), Anchor: "section-" + g.letter, Count: len(g.results), Counts: t.counts(), Bar: barOf(t)}
	for _, r := range g.results {
		s.Cases = append(s.Cases, casePage(r))
	}
	return s
}

func barOf(t tally) pageBar {
	part := func(n int) float64 { return 100 * float64(n) / float64(max(t.ran(), 1)) }
	width := func(f float64) string { return fmt.Sprintf("%.1f", f) }
	good, bad, named := part(t.good()), part(t[conformance.Fail]), part(t[conformance.Known])
	return pageBar{width(good), width(bad), width(good + bad), width(named), fmt.Sprintf("%d of %d", t.good(), t.ran())}
}

func casePage(r *conformance.Result) pageCase {
	c := r.Case
	p := pageCase{ID: c.ID, Title: c.Title, Source: c.Source, About: c.About, Why: because(r), Place: place(r), Took: span(r.Took), Mark: mark(r.Word),
		Word: r.Word, Level: c.Level, Open: r.Word == conformance.Fail || r.Word == conformance.Changed, Ran: r.Word != conformance.Skipped}
	var at pointed
	if r.Fault != nil {
		at = point(c, r.Fault)
		if p.Got = at.Got; at.Line > 0 {
			p.Got = fmt.Sprintf("line %d: %s", at.Line, at.Got)
		}
	}
	for i, line := range c.Lines {
		l := pageLine{No: i + 1, Text: Visible([]byte(line))}
		if l.No == at.Line {
			l.Before, l.Caret = at.Before, at.Caret
		}
		p.Play = append(p.Play, l)
	}
	last, before := paged.tail(entries(r.Wire))
	p.Records = count(len(last), "record")
	if before > 0 {
		p.Before = number(before)
	}
	for _, e := range last {
		p.Wire = append(p.Wire, pageRecord{At: fmt.Sprintf("%.1f ms", float64(e.At.Microseconds())/1000), Way: way(e.Record) + e.inPieces(),
			Note: e.Kind == conformance.Noted, Long: len(e.Bytes) > 1000, Pieces: pieces(e.Bytes, paged.bytes)})
	}
	return p
}

// because is why a result is not simply pass or fail.
func because(r *conformance.Result) string {
	if r.Why == "" {
		return ""
	}
	return string(r.Word) + ": " + Visible([]byte(r.Why))
}

// way says which way bytes went.
func way(r conformance.Record) string {
	switch r.Kind {
	case conformance.Sent:
		return r.Actor + " sent"
	case conformance.Received:
		return r.Actor + " received"
	}
	return r.Actor
}

// pieces divides bytes into what can be shown and what stands for something else.
func pieces(b []byte, most int) (all []piece) {
	kept := head(b, most)
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			all = append(all, piece{Text: plain.String()})
			plain.Reset()
		}
	}
	for rest := kept; len(rest) > 0; {
		text, n := next(rest)
		if text == string(rest[:n]) {
			plain.WriteString(text)
		} else {
			flush()
			all = append(all, piece{text, true})
		}
		rest = rest[n:]
	}
	flush()
	if len(kept) < len(b) {
		all = append(all, piece{fmt.Sprintf(" ... and %s more", count(len(b)-len(kept), "byte")), true})
	}
	return all
}
