package report

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/patchbay-im/patchbay/conformance"
)

func unpainted(_ conformance.Word, text string) string { return text }

// TestBarsFit: what is drawn over must fit on a line; words that have no room are left out, the count never.
func TestBarsFit(t *testing.T) {
	run := judged(t)
	for _, width := range []int{34, 50, 60, 80, 120} {
		var b strings.Builder
		s := Screen{Out: &b, Live: true, Width: width}
		var cases []*conformance.Case
		for i := range run.Results {
			cases = append(cases, run.Results[i].Case)
		}
		s.Begin(run, cases)
		b.Reset()
		for _, r := range run.Results {
			s.Result(r)
		}
		lines := strings.FieldsFunc(strings.ReplaceAll(b.String(), "\x1b[K", ""), func(r rune) bool { return r == '\r' || r == '\n' })
		for _, l := range lines {
			if utf8.RuneCountInString(l) >= width || !strings.Contains(l, "/") {
				t.Errorf("on %d columns: %q", width, l)
			}
		}
	}
}

// TestBarsMixed: sections whose cases do not come one after the other stay on the screen once each, when they are whole.
func TestBarsMixed(t *testing.T) {
	var cases []*conformance.Case
	for _, id := range []string{"A01-x", "B01-x", "A02-x", "B02-x"} {
		cases = append(cases, &conformance.Case{ID: id})
	}
	b, out := newBars(cases), ""
	for i, c := range cases {
		b.add(&conformance.Result{Case: c, Word: conformance.Pass})
		out += b.draw(sectionOf(c), 0, unpainted)
		if want := fmt.Sprintf("  %d/2\x1b[K", i/2+1); !strings.HasSuffix(out, want) {
			t.Errorf("after %s: %q", c.ID, out)
		}
	}
	out += b.leave(0, unpainted)
	var stay []string
	for line := range strings.Lines(out) {
		last := line[strings.LastIndex(line, "\r")+1:]
		stay = append(stay, strings.Fields(last)[0]+" "+strings.Fields(last)[len(strings.Fields(last))-1])
	}
	if got := strings.Join(stay, ", "); got != "A 2/2\x1b[K, B 2/2\x1b[K" {
		t.Errorf("what stays is %q", got)
	}
	if again := b.leave(0, unpainted); again != "" {
		t.Errorf("it is left twice: %q", again)
	}
}
