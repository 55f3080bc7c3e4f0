package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// twoRuns are the hand-made one, and another in which some cases went otherwise, one is missing and one is new.
func twoRuns(t *testing.T) []Column {
	other := handmade()
	other.Target, other.Product = "127.0.0.1:5348", "Prosody 0.12.3"
	other.Results[0].Word, other.Results[0].Why = conformance.Fail, "<script>"
	other.Results[4].Word, other.Results[4].Fault = conformance.Pass, nil
	added := conformance.Result{Case: play("J15-new", conformance.May, "it is new", "XEP-0030"), Word: conformance.Pass}
	other.Results = append(other.Results[:9:9], added)
	return []Column{{Run: judged(t), File: "ejabberd.json", Page: "ejabberd.html"}, {Run: other, File: "prosody.json"}}
}

func TestCompare(t *testing.T) {
	var text, page bytes.Buffer
	if err := Compare(&text, twoRuns(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "compare.txt", text.String())
	if err := WriteMatrix(&page, twoRuns(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "matrix.html", page.String())
	closed(t, page.String())
	text.Reset()
	same := twoRuns(t)[:1]
	if err := Compare(&text, append(same, same[0])); err != nil || !strings.Contains(text.String(), "\ncases that differ: 0 of 10\n") {
		t.Errorf("%v: %s", err, text.String())
	}
}

// TestCompareProfiles: cases of other profiles stand apart, though their ids are the same.
func TestCompareProfiles(t *testing.T) {
	columns := twoRuns(t)
	columns[1].Run.Profile = conformance.Node
	for i := range columns[1].Run.Results {
		columns[1].Run.Results[i].Case.Profile = conformance.Node
	}
	all := rows(columns)
	if len(all) != 20 {
		t.Errorf("%d rows, want 20", len(all))
	}
	for _, r := range all {
		if r.differs() {
			t.Errorf("%s differs from a case of another profile", r.is.ID)
		}
	}
	var page bytes.Buffer
	want := `<h2 id="section-A-node">` + sectionOf(all[0].is).String() + `, profile node</h2>`
	if err := WriteMatrix(&page, columns); err != nil || !strings.Contains(page.String(), want) {
		t.Errorf("%v: %s", err, page.String())
	}
}
