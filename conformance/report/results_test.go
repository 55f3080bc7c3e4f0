package report

import (
	"bytes"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

func TestWriteResults(t *testing.T) {
	columns := twoRuns(t)
	modern := *columns[1].Run
	modern.Profile = conformance.Modern
	modern.Results = []conformance.Result{{Case: play("A10-x", conformance.Must, "it is *so* | <b>_", "RFC 6120 4.3.2"), Word: conformance.Pass}}
	var b bytes.Buffer
	if err := WriteResults(&b, append(columns, Column{Run: &modern})); err != nil {
		t.Fatal(err)
	}
	golden(t, "results.md", b.String())
}

// TestMarkdown: no text of a peer's or a play's becomes markup, or another cell.
func TestMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"a < b & c":  "a &lt; b &amp; c",
		"a|b":        `a\|b`,
		"`*_[x](y)`": "\\`\\*\\_\\[x](y)\\`",
		`\|`:         `\\\|`,
		"a\r\nb":     "a&lt;CR>&lt;LF>b",
	} {
		if got := markdown(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
