package metrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run TestPage -rewrite .

var rewrite = flag.Bool("rewrite", false, "write docs/metrics.md anew")

const pageFile = "../../../docs/metrics.md"

// TestPage fails when docs/metrics.md is not what the rows say. It is written anew by
// go test ./internal/admin/metrics -run TestPage -rewrite.
func TestPage(t *testing.T) {
	page := render(t)
	if *rewrite {
		if err := os.WriteFile(pageFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(string(have), "\n"), strings.Split(page, "\n")
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("docs/metrics.md:%d is stale: go test ./internal/admin/metrics -run TestPage -rewrite\nis   %s\nwant %s", i+1, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("docs/metrics.md has %d lines instead of %d: go test ./internal/admin/metrics -run TestPage -rewrite", len(got), len(want))
	}
}

const pageHead = `# Metrics

<!-- Made from the source: go test ./internal/admin/metrics -run TestPage -rewrite. Edit internal/admin/metrics/groups*.go. -->

` + "`GET /metrics`" + ` on ` + "`listen.http`" + ` and on ` + "`listen.metrics`" + `, in the text format of Prometheus. The latter has nothing else but health, and asks for no token:

` + "```yaml" + `
listen:
  metrics: 0.0.0.0:9347        # patchbay.yaml
---
scrape_configs:                # prometheus.yml
  - job_name: patchbay
    static_configs: [{targets: ["hub1.example:9347"]}]
` + "```" + `

Names and labels are a contract, as those of the command line are. A scrape reads what the server counts for itself: it walks no sessions and no stanzas, and adds
nothing to what a stanza passes. At most %d scrapes are answered at one time, each within %d s. Values of reason, outcome, condition and the like come
from closed lists, and all of them are there from the start, with 0, so that rates work from the first event on.

**The label node** has at most %d values of nodes: those that have an exact entry in the configuration, and those that were attached within the last 7 days. A node that
comes when there is no room is summed under ` + "`%s`" + `, for as long as the process lives; a state of that is the number of nodes in it.

With them come ` + "`go_*`" + ` and ` + "`process_*`" + `, the usual metrics of the Go runtime and of the process. [grafana/patchbay.json](grafana/patchbay.json) is a dashboard for
Grafana 10 and newer, [prometheus/rules.yaml](prometheus/rules.yaml) alerts, [prometheus/rules_test.yaml](prometheus/rules_test.yaml) their tests.

`

func render(t *testing.T) string {
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, maxScrapes, int(scrapeTimeout.Seconds()), maxNodes, othersName)
	for _, g := range groups() {
		fmt.Fprintf(&b, "## %s\n\n| name | type | labels | meaning |\n|---|---|---|---|\n", g.title)
		for _, m := range g.metrics {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.word(), strings.Join(m.labels, ", "), m.help)
		}
		b.WriteString("\n")
	}
	b.WriteString("## Alerts\n\nEach says in its description which command shows more. `critical`: users notice now, or will within hours. `warning`: look at it today.\n\n" +
		"| alert | severity | what it says |\n|---|---|---|\n")
	for _, a := range alerts(t) {
		says, does, _ := strings.Cut(a.text, "\n")
		says = strings.NewReplacer("{{ $labels.instance }}", "the server", "{{ $labels.node }}", "a node", "{{ $labels.reason }}", "a reason", "{{ $labels.database }}", "a database").Replace(says)
		does = strings.NewReplacer(" {{ $labels.node }}", " NODE", "{{ $labels.reason }}", "REASON").Replace(does)
		fmt.Fprintf(&b, "| `%s` | %s | %s: %s |\n", a.name, a.severity, values.Replace(says), does)
	}
	return b.String()
}

// values are what stands for numbers in summaries.
var values = strings.NewReplacer("{{ $value }}", "N", "{{ $value | humanize }}", "N", "{{ $value | humanizeDuration }}", "N s", "{{ $value | humanizePercentage }}", "N %",
	"{{ $value | humanize1024 }}B", "N bytes")
