package routing

import "testing"

// The grades in words, and the lowest of several.
func TestGrades(t *testing.T) {
	for g, want := range map[Grade]string{GradeNone: "", GradeProbing: "probing", GradeWritten: "written", GradeProved: "proved"} {
		if g.String() != want {
			t.Errorf("grade %d is %q, not %q", g, g, want)
		}
	}
	for _, c := range []struct {
		of   []Grade
		want Grade
	}{
		{nil, GradeNone},
		{[]Grade{GradeNone, GradeProved}, GradeProved},
		{[]Grade{GradeProved, GradeWritten, GradeProved}, GradeWritten},
		{[]Grade{GradeWritten, GradeProbing}, GradeProbing},
	} {
		var f NodeFacts
		for _, g := range c.of {
			f.grade(g)
		}
		if f.Grade != c.want {
			t.Errorf("of %v it is %v, not %v", c.of, f.Grade, c.want)
		}
	}
}
