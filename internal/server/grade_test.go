package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/routing"
)

// TestTellGrade logs a grade when it is known, each once.
func TestTellGrade(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetLevel(logrus.DebugLevel)
	var p pinger
	for _, step := range []struct {
		grade routing.Grade
		want  string // level and the grade, "" for no line
	}{
		{routing.GradeProbing, ""},
		{routing.GradeWritten, "level=info grade=written"},
		{routing.GradeWritten, ""},
		{routing.GradeProved, "level=info grade=proved"},
		{routing.GradeProved, ""},
	} {
		out.Reset()
		p.tellGrade(logrus.NewEntry(log), step.grade)
		if got := out.String(); (got == "") != (step.want == "") || strings.Count(got, "\n") > 1 {
			t.Errorf("%v: %q, want %q", step.grade, got, step.want)
		}
		for word := range strings.FieldsSeq(step.want) {
			if !strings.Contains(out.String(), word) {
				t.Errorf("%v: %q, want %q", step.grade, &out, step.want)
			}
		}
	}
	out.Reset()
	p = pinger{}
	p.tellGrade(logrus.NewEntry(log), routing.GradeProved)
	if !strings.Contains(out.String(), "level=debug") {
		t.Errorf("%q", &out)
	}
}
