package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// WriteTAP writes a run as TAP 14: a test point for each case. A known failure is marked as one that is still to be mended,
// which fails nothing; a changed one fails.
func WriteTAP(w io.Writer, run *conformance.Run) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 14\n# patchbay conformance %s   %s   profile %s\n1..%d\n", run.Version, target(run), run.Profile, len(run.Results))
	for i := range run.Results {
		tapPoint(&b, i+1, &run.Results[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func tapPoint(b *strings.Builder, number int, r *conformance.Result) {
	ok, directive := "ok", ""
	switch r.Word {
	case conformance.Fail, conformance.Changed:
		ok = "not ok"
	case conformance.Known:
		ok, directive = "not ok", " # TODO "+tapText(r.Why)
	case conformance.Skipped:
		directive = " # SKIP " + tapText(r.Why)
	}
	fmt.Fprintf(b, "%s %d - %s\n", ok, number, tapText(r.Case.ID+" "+r.Case.Title)+directive)
	if r.Word == conformance.Pass || r.Word == conformance.Skipped {
		return
	}
	b.WriteString("  ---\n")
	entries := [][2]string{{"word", string(r.Word)}, {"why", r.Why}, {"level", string(r.Case.Level)}, {"source", r.Case.Source}, {"at", place(r)}}
	for _, e := range entries {
		if e[1] != "" {
			fmt.Fprintf(b, "  %s: %s\n", e[0], strconv.Quote(Visible([]byte(e[1]))))
		}
	}
	for _, e := range [][2]string{{"fault", faultText(r)}, {"wire", briefLog(r)}} {
		if e[1] != "" {
			fmt.Fprintf(b, "  %s: |2\n%s", e[0], indent("    ", e[1]))
		}
	}
	b.WriteString("  ...\n")
}

// tapText escapes what begins a directive.
func tapText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(Visible([]byte(s)))
}
