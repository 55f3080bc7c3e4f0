package report

import (
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// A run whose failures were all known does as expected, and does not conform; nor does one of which no case ran.
func TestVerdict(t *testing.T) {
	result := func(l conformance.Level, w conformance.Word) conformance.Result {
		return conformance.Result{Case: &conformance.Case{ID: "A01-x", Level: l}, Word: w}
	}
	pass, known := result(conformance.Must, conformance.Pass), result(conformance.Must, conformance.Known)
	for _, c := range []struct {
		results []conformance.Result
		want    string
	}{
		{[]conformance.Result{pass}, "conforms"},
		{[]conformance.Result{pass, known, known, result(conformance.Should, conformance.Known)}, "as expected: known to fail are 2 MUST and 1 SHOULD"},
		{[]conformance.Result{pass, known, result(conformance.May, conformance.Fail)}, "does not conform: 1 MAY fails"},
		{[]conformance.Result{pass, result(conformance.Must, conformance.Changed)}, "does not conform: 1 changed"},
		{[]conformance.Result{result(conformance.Must, conformance.Skipped)}, "does not conform: no case ran"},
		{nil, "does not conform: no case ran"},
	} {
		if got, _ := Verdict(&conformance.Run{Results: c.results}); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
