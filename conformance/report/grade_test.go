package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// answered makes a run in which pings became of what their words say.
func answered(profile conformance.Profile, words map[string]conformance.Word) *conformance.Run {
	run := &conformance.Run{Profile: profile}
	for id, w := range words {
		c := &conformance.Case{ID: id, Level: conformance.Must, Profile: profile}
		run.Results = append(run.Results, conformance.Result{Case: c, Word: w})
	}
	return run
}

func TestGradeOf(t *testing.T) {
	const plain, result, client = "N04-ping-is-answered", "N05-ping-result", "N05-ping-in-the-client-namespace"
	for _, tt := range []struct {
		name    string
		profile conformance.Profile
		words   map[string]conformance.Word
		want    Grade
	}{
		{"results", conformance.Node, map[string]conformance.Word{plain: conformance.Pass, result: conformance.Pass}, Proved},
		{"errors", conformance.Node, map[string]conformance.Word{result: conformance.Soft}, Proved},
		{"against its expectations", conformance.Node, map[string]conformance.Word{plain: conformance.Changed}, Proved},
		{"the other form only", conformance.Node, map[string]conformance.Word{plain: conformance.Known, result: conformance.Known, client: conformance.Pass}, Proved},
		{"none", conformance.Node, map[string]conformance.Word{plain: conformance.Fail, result: conformance.Known, client: conformance.Soft}, Written},
		{"not asked", conformance.Node, map[string]conformance.Word{plain: conformance.Skipped, "N01-header": conformance.Pass}, ""},
		{"a server", conformance.Component, map[string]conformance.Word{plain: conformance.Pass}, ""},
	} {
		if got := GradeOf(answered(tt.profile, tt.words)); got != tt.want {
			t.Errorf("%s: the grade is %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestGradeIsTold holds every report that has room for it to the grade.
func TestGradeIsTold(t *testing.T) {
	run := answered(conformance.Node, map[string]conformance.Word{"N04-ping-is-answered": conformance.Fail})
	var page, kept, results bytes.Buffer
	for _, err := range []error{WriteHTML(&page, run), WriteJSON(&kept, run), WriteResults(&results, []Column{{Run: run}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, told := range map[string]string{
		"grade: written   it answers no ping, so what": summary(run, nil),
		"<dt>Grade</dt><dd>written: it answers":        page.String(),
		`"grade": "written",`:                          kept.String(),
		"| grade | written |":                          results.String(),
	} {
		if !strings.Contains(told, what) {
			t.Errorf("nothing says %s:\n%s", what, told)
		}
	}
}
