package interop

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
	reports "github.com/patchbay-im/patchbay/conformance/report"
)

var update = flag.Bool("update", false, "let TestConformance and TestConformanceNode write conformance/expect, and what docs/conformance-results and -nodes say, anew: explain each new failure")

// mostJudging bounds the run of one profile against one product.
const mostJudging = 3 * time.Minute

// judgement is what came of one product.
type judgement struct {
	product
	cases []*conformance.Case
	runs  []*conformance.Run // by profile, judged by what is expected, without secrets
}

// TestConformance judges patchbay, and the servers that most nodes are attached to. What each does otherwise stands, with its
// reason, in conformance/expect: anything else fails, and what it no longer does too.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 minutes")
	}
	cases, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]judgement, len(products))
	t.Cleanup(func() { // when all have been judged
		for _, j := range all {
			if len(j.runs) == 0 || len(j.runs) < len(j.profiles) {
				return // it is not here, or was not asked for
			}
		}
		holdResults(t, all, "conformance-results")
	})
	for i, p := range products {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			all[i] = judgement{product: p, cases: cases}
			for _, profile := range p.profiles {
				all[i].play(t, profile)
			}
		})
	}
}

// play judges one profile. Each run has a server of its own: ejabberd loses answers after many attaches.
func (j *judgement) play(t *testing.T, profile conformance.Profile) {
	t.Helper()
	target := j.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), mostJudging)
	defer cancel()
	run, err := conformance.Play(ctx, target, ofProfile(j.cases, profile), func(conformance.Result) {})
	if err != nil {
		t.Fatalf("profile %s, after %d cases: %v", profile, len(run.Results), err)
	}
	if run.Product == "" {
		run.Product = j.version // it does not say
	}
	if !strings.HasPrefix(run.Product, j.version) {
		missing(t, "conformance/expect is of %s, and this is %s", j.version, run.Product)
	}
	t.Logf("profile %s: %s in %v", profile, run.Product, run.Took.Round(time.Millisecond))
	j.keep(t, unsecret(target, run))
}

// keep judges a run by what is expected, and keeps it for the results.
func (j *judgement) keep(t *testing.T, run *conformance.Run) {
	t.Helper()
	run = j.hold(t, run)
	j.runs = append(j.runs, run)
	if dir := os.Getenv("PATCHBAY_RUNS"); dir != "" { // for patchbay conformance compare, and to see the wire logs
		if err := reports.Save(filepath.Join(dir, fmt.Sprintf("%s-%s.json", j.name, run.Profile)), run); err != nil {
			t.Error(err)
		}
	}
}

// ofProfile chooses the cases of one profile.
func ofProfile(cases []*conformance.Case, profile conformance.Profile) (some []*conformance.Case) {
	for _, c := range cases {
		if c.Profile == profile {
			some = append(some, c)
		}
	}
	return some
}

// unsecret takes the secrets of the components out of a run.
func unsecret(target conformance.Target, run *conformance.Run) *conformance.Run {
	var secrets []string
	for _, n := range target.Nodes {
		secrets = append(secrets, n.Secret)
	}
	return reports.NewMask(secrets...).Run(run)
}

// expectFile is where the expectations of the product are.
func (p product) expectFile() string {
	return filepath.Join("..", "..", "conformance", "expect", p.expect+".txt")
}

// hold judges a run by what is expected of the product.
func (j *judgement) hold(t *testing.T, run *conformance.Run) *conformance.Run {
	t.Helper()
	expected := j.expectations(t)
	if *update {
		text, added, removed := expected.Updated(run, j.cases)
		if err := os.WriteFile(j.expectFile(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d lines added, %d removed", j.expectFile(), added, removed)
		expected = j.expectations(t)
	}
	for _, unknown := range expected.Unknown(j.cases) {
		t.Error(unknown)
	}
	judged := expected.JudgeRun(run)
	for i := range judged.Results {
		switch r := &judged.Results[i]; {
		case r.Word == conformance.Fail && r.Fault.Line > 0:
			t.Errorf("%s: %s: %s\n%s got %s", r.Word, r.Case.ID, r.Case.Title,
				conformance.Caret(r.Case.Lines[r.Fault.Line-1], r.Fault.Line, r.Fault.Col, r.Fault.Width), r.Fault.Got)
		case r.Word == conformance.Fail:
			t.Errorf("%s: %s: %s: got %s", r.Word, r.Case.ID, r.Case.Title, r.Fault.Got)
		case r.Word == conformance.Changed:
			t.Errorf("%s: %s passes, and %s says why it does not: %s", r.Word, r.Case.ID, expected.Where(r.Case.ID), r.Why)
		case r.Word == conformance.Known && strings.HasPrefix(r.Why, reports.Unexplained):
			t.Errorf("%s: %s: say why", expected.Where(r.Case.ID), r.Why)
		}
	}
	if !judged.Conforms() && !t.Failed() {
		t.Error("no case ran")
	}
	return judged
}

// expectations reads the file; that there is none yet is no fault if it is written now.
func (j *judgement) expectations(t *testing.T) *reports.Expectations {
	t.Helper()
	text, err := os.ReadFile(j.expectFile())
	if err != nil && !*update {
		t.Fatal(err)
	}
	e, faults := reports.ParseExpectations(j.expectFile(), string(text))
	for _, fault := range faults {
		t.Error(fault)
	}
	return e
}

// resultsMark divides docs/conformance-results.md: what stands above it was written by a person.
const resultsMark = "<!-- What follows is written by TestConformance -update. -->\n"

// softly is how many cases went a permitted way: on a busy machine an answer may come too late to be the better one, so that number
// is not held against the page.
var softly = regexp.MustCompile(`, \d+ soft`)

// holdResults sees that the results published under a name are those of these runs, or publishes them.
func holdResults(t *testing.T, all []judgement, name string) {
	t.Helper()
	var columns []reports.Column
	for _, j := range all {
		for _, run := range j.runs {
			columns = append(columns, reports.Column{Run: run})
		}
	}
	base := filepath.Join("..", "..", "docs", name)
	page, err := os.ReadFile(base + ".md")
	if err != nil {
		t.Fatal(err)
	}
	above, _, found := strings.Cut(string(page), resultsMark)
	if !found {
		t.Fatalf("%s.md has no line %s", base, resultsMark)
	}
	text := bytes.NewBufferString(above + resultsMark)
	if err := reports.WriteResults(text, columns); err != nil {
		t.Fatal(err)
	}
	if !*update {
		was, is := softly.ReplaceAllString(string(page), ""), softly.ReplaceAllString(text.String(), "")
		if is != was {
			t.Errorf("%s.md is not what these runs say: %s", base, firstOther(is, was))
		}
		return
	}
	publish(t, base+".md", text.Bytes())
	var matrix bytes.Buffer
	if err := reports.WriteMatrix(&matrix, columns); err != nil {
		t.Fatal(err)
	}
	publish(t, base+".html", matrix.Bytes())
	for _, j := range all {
		publishTranscripts(t, base, j)
	}
}

// publishTranscripts writes what went over the wire where a product fails.
func publishTranscripts(t *testing.T, base string, j judgement) {
	t.Helper()
	for _, run := range j.runs {
		failing := *run
		failing.Results = slices.DeleteFunc(slices.Clone(run.Results), func(r conformance.Result) bool { return r.Word != conformance.Known })
		if len(failing.Results) == 0 {
			continue
		}
		var page bytes.Buffer
		if err := reports.WriteHTML(&page, &failing); err != nil {
			t.Fatal(err)
		}
		publish(t, base+"-"+j.expect+".html", page.Bytes())
	}
}

func publish(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// firstOther is the first line that two texts do not share.
func firstOther(got, want string) string {
	gots, wants := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gots), len(wants)) {
		if gots[i] != wants[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, gots[i], wants[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(gots), len(wants))
}
