package metrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rulesFile     = "../../../docs/prometheus/rules.yaml"
	rulesTestFile = "../../../docs/prometheus/rules_test.yaml"
	dashboardFile = "../../../docs/grafana/patchbay.json"
)

// catalogue is what a scrape has: the labels of each name, and their values.
type catalogue map[string]map[string][]string

var (
	sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})?$`)
	labelPair  = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
)

func (all scraped) catalogue(t testing.TB) catalogue {
	t.Helper()
	c := catalogue{}
	for sample := range all {
		m := sampleLine.FindStringSubmatch(sample)
		if m == nil {
			t.Fatalf("what is %s?", sample)
		}
		if c[m[1]] == nil {
			c[m[1]] = map[string][]string{"job": nil, "instance": nil} // Prometheus adds them
		}
		for _, l := range labelPair.FindAllStringSubmatch(m[2], -1) {
			c[m[1]][l[1]] = append(c[m[1]][l[1]], l[2])
		}
	}
	return c
}

// words of PromQL that the dashboard and the rules use. Any other word has to be a metric.
var promWords = []string{"sum", "max", "topk", "rate", "time", "abs", "histogram_quantile", "min_over_time", "max_over_time", "predict_linear", "and", "or", "unless", "label_values",
	"up"} // up is Prometheus's own

var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`^\s*([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*$`)
	listed   = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	ranged   = regexp.MustCompile(`\[[^\]]*\]`)
	asked    = regexp.MustCompile(`^label_values\((.*),\s*([a-z]+)\)$`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
)

// faults says which names, labels and values of an expression no scrape has. shown are labels that its answer must have.
func (c catalogue) faults(expr string, shown ...string) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if m := asked.FindStringSubmatch(expr); m != nil {
		expr, shown = m[1], append(shown, m[2])
	}
	labels := map[string]bool{}
	rest := selector.ReplaceAllStringFunc(expr, func(s string) string {
		m := selector.FindStringSubmatch(s)
		for _, pair := range strings.Split(m[2], ",") {
			p := matcher.FindStringSubmatch(pair)
			if p == nil {
				say("%q is no matcher", pair)
				continue
			}
			found = append(found, c.matches(m[1], p)...)
		}
		return m[1]
	})
	rest = listed.ReplaceAllStringFunc(quoted.ReplaceAllString(ranged.ReplaceAllString(rest, ""), ""), func(s string) string {
		for _, l := range strings.Split(listed.FindStringSubmatch(s)[2], ",") {
			if l = strings.TrimSpace(l); l != "" {
				shown = append(shown, l)
			}
		}
		return " "
	})
	for _, w := range word.FindAllString(rest, -1) {
		switch {
		case c[w] != nil:
			for l := range c[w] {
				labels[l] = true
			}
		case w == "up":
			labels["job"], labels["instance"] = true, true
		case !slices.Contains(promWords, w):
			say("no scrape has %s", w)
		}
	}
	for _, l := range shown {
		if !labels[l] {
			say("no metric of the expression has a label %s", l)
		}
	}
	return found
}

// matches looks at one matcher of a selector: name, operator and value.
func (c catalogue) matches(metric string, p []string) (found []string) {
	have, ok := c[metric][p[1]]
	if c[metric] == nil {
		return nil // it is told as a word, or is up
	}
	if !ok {
		return []string{fmt.Sprintf("%s has no label %s", metric, p[1])}
	}
	for _, v := range strings.Split(p[3], "|") {
		if have != nil && !strings.Contains(v, "$") && v != othersName && !slices.Contains(have, v) {
			found = append(found, fmt.Sprintf("%s is never there with %s %s", metric, p[1], v))
		}
	}
	return found
}

var templated = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z]+)\s*\}\}`)

// shows gives the labels that a legend or an annotation shows.
func shownBy(text string) (labels []string) {
	for _, m := range templated.FindAllStringSubmatch(text, -1) {
		labels = append(labels, m[1])
	}
	return labels
}

// alert is one rule of rules.yaml.
type alert struct {
	name, expr, severity, text, runbook string
}

var (
	alertStart = regexp.MustCompile(`(?m)^      - alert: (\w+)$`)
	exprLine   = regexp.MustCompile(`(?m)^        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)`)
	severity   = regexp.MustCompile(`(?m)^        labels: \{severity: (critical|warning)\}$`)
	summary    = regexp.MustCompile(`(?m)^          (?:summary|description): "(.+)"$`)
	runbook    = regexp.MustCompile(`(?m)^          runbook_url: https://github\.com/patchbay-im/patchbay/blob/main/(\S+)$`)
)

// alerts reads rules.yaml, whose form is always the same.
func alerts(t testing.TB) []alert {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []alert
	starts := alertStart.FindAllSubmatchIndex(text, -1)
	for i, s := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		body := string(text[s[0]:end])
		a := alert{name: string(text[s[2]:s[3]])}
		if m := exprLine.FindStringSubmatch(body); m != nil {
			a.expr = m[1] + m[2]
		}
		if m := severity.FindStringSubmatch(body); m != nil {
			a.severity = m[1]
		}
		if m := runbook.FindStringSubmatch(body); m != nil {
			a.runbook = m[1]
		}
		if m := summary.FindAllStringSubmatch(body, -1); len(m) == 2 {
			a.text = m[0][1] + "\n" + m[1][1]
		}
		all = append(all, a)
	}
	if strings.Count(string(text), "- alert:") != len(all) {
		t.Errorf("%d of %d alerts are read", len(all), strings.Count(string(text), "- alert:"))
	}
	return all
}

var (
	command = regexp.MustCompile(`patchbay (ctl [a-z]+|check)`)
	verbs   = []string{"ctl status", "ctl nodes", "ctl links", "ctl outcomes", "ctl doctor", "ctl reload", "check"}
)

// TestRules: each alert asks for what a scrape has, and says what to do.
func TestRules(t *testing.T) {
	st := newStage(t)
	st.traffic()
	c := st.scrape().catalogue(t)
	tests, err := os.ReadFile(rulesTestFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if seen[a.name] || a.expr == "" || a.severity == "" || a.text == "" || a.runbook == "" {
			t.Errorf("%s is not whole, or there twice: %+v", a.name, a)
		}
		seen[a.name] = true
		for _, f := range c.faults(a.expr, shownBy(a.text)...) {
			t.Errorf("%s: %s", a.name, f)
		}
		says := command.FindAllStringSubmatch(a.text, -1)
		if len(says) == 0 {
			t.Errorf("%s names no command", a.name)
		}
		for _, m := range says {
			if !slices.Contains(verbs, m[1]) {
				t.Errorf("%s: patchbay %s is no command that answers this", a.name, m[1])
			}
		}
		if !hasHeading(t, a.runbook) {
			t.Errorf("%s: %s is no page with such a heading", a.name, a.runbook)
		}
		if !strings.Contains(string(tests), "- name: "+a.name+"\n") {
			t.Errorf("%s has no test in rules_test.yaml", a.name)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d alerts were found", len(seen))
	}
}

// hasHeading reports whether a document has a heading, given as path#anchor.
func hasHeading(t testing.TB, link string) bool {
	t.Helper()
	path, anchor, _ := strings.Cut(link, "#")
	text, err := os.ReadFile("../../../" + path)
	return err == nil && anchor != "" && slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		return ok && strings.HasPrefix(line, "#") && strings.ReplaceAll(strings.ToLower(heading), " ", "-") == anchor
	})
}

// panel is what the test looks at of a panel of Grafana.
type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct {
		Expr, LegendFormat, RefID string
		Datasource                struct{ UID string }
	}
	Panels []panel
}

type dashboard struct {
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

// TestDashboard: each panel asks for what a scrape has, from the data source that is chosen, and has a place of its own.
func TestDashboard(t *testing.T) {
	st := newStage(t)
	st.traffic()
	c := st.scrape().catalogue(t)
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var rows []string
	taken, ids := map[[2]int]int{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d is there twice, or has no title: %s", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if taken[[2]int{x, y}] != 0 || x >= 24 {
					t.Errorf("%s lies on panel %d, or outside", p.Title, taken[[2]int{x, y}])
				}
				taken[[2]int{x, y}] = p.ID
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: no description, no target, or another data source", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%s asks another data source", p.Title)
			}
			for _, f := range c.faults(q.Expr, shownBy(q.LegendFormat)...) {
				t.Errorf("%s: %s", p.Title, f)
			}
		}
	}
	if want := []string{"Is it us", "Nodes", "What is lost, and why", "Disk and commits", "Process"}; !slices.Equal(rows, want) {
		t.Errorf("the rows are %q, want %q", rows, want)
	}
	if d.SchemaVersion < 38 {
		t.Errorf("schema %d is older than Grafana 10", d.SchemaVersion)
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		for _, f := range c.faults(v.Definition) {
			t.Errorf("the variable %s: %s", v.Name, f)
		}
	}
}

// TestNamesFindFaults plants what TestRules and TestDashboard must find, and its harmless neighbours.
func TestNamesFindFaults(t *testing.T) {
	c := scraped{`patchbay_ready`: 1, `patchbay_outcomes_total{outcome="bounced",reason="no-to"}`: 1,
		`patchbay_x_bucket{database="sessions",le="1"}`: 1}.catalogue(t)
	for _, x := range []struct {
		expr, legend, want string
	}{
		{`sum by (reason) (rate(patchbay_outcomes_total{job=~"$job",reason=~"no-to|$r",outcome="bounced"}[5m])) > 0.5`, "{{reason}}", ""},
		{`patchbay_ready == 0`, "{{ $labels.instance }} {{ $value }}", ""},
		{`histogram_quantile(0.9, sum by (le, database) (rate(patchbay_x_bucket[$__rate_interval])))`, "{{database}}", ""},
		{`label_values(patchbay_outcomes_total{reason="no-to"}, reason)`, "", ""},
		{`up{job=~"patchbay.*"} == 0`, "{{instance}}", ""},
		{`patchbay_redy == 0`, "", "patchbay_redy"},
		{`patchbya_ready{job="x"} == 0`, "", "patchbya_ready"},
		{`rate(patchbay_outcome_total{reason="no-to"}[5m])`, "", "patchbay_outcome_total"},
		{`patchbay_ready{node="x"}`, "", "label node"},
		{`patchbay_outcomes_total{reason="no-too"}`, "", "no-too"},
		{`patchbay_outcomes_total{reason=~"no-to|nowhere"}`, "", "nowhere"},
		{`patchbay_outcomes_total{reason!="nowhere"}`, "", "nowhere"},
		{`sum by (node) (patchbay_outcomes_total)`, "", "label node"},
		{`patchbay_ready and on (reason) patchbay_ready`, "", "label reason"},
		{`patchbay_ready`, "{{reason}}", "label reason"},
		{`label_values(patchbay_ready, node)`, "", "label node"},
		{`rat(patchbay_ready[5m])`, "", "rat"},
		{`patchbay_ready{job~"x"}`, "", "no matcher"},
	} {
		found := strings.Join(c.faults(x.expr, shownBy(x.legend)...), "\n")
		if x.want == "" && found != "" || !strings.Contains(found, x.want) {
			t.Errorf("%s: %q, want %q", x.expr, found, x.want)
		}
	}
}

// TestAllIsUsed: what no panel and no alert shows is here for a reason.
func TestAllIsUsed(t *testing.T) {
	unused := map[string]string{
		"patchbay_stanzas_made_total":              "part of the account, which patchbay_ledger_off_stanzas sums up",
		"patchbay_stanzas_copies_total":            "part of the account",
		"patchbay_stanzas_found":                   "part of the account",
		"patchbay_config_reloads_total":            "for who wants to see reloads in a plot",
		"patchbay_config_loaded_timestamp_seconds": "for who wants to see reloads in a plot",
		"patchbay_node_links_limit":                "of interest for few nodes",
		"patchbay_node_queue_stanzas":              "its bytes are what is bounded",
		"patchbay_node_unproved_stanzas":           "its bytes are what is bounded",
		"patchbay_node_outbox_stanzas":             "its bytes are what is bounded",
		"patchbay_node_confirming":                 "for who looks into one return of a node",
		"patchbay_node_multicast":                  "for who looks into one node",
		"patchbay_held_users":                      "its stanzas are shown",
	}
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	board, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups() {
		for _, m := range g.metrics {
			named := regexp.MustCompile(`\b` + m.name + `(_bucket|_count|_sum)?\b`)
			used := named.Match(rules) || named.Match(board)
			if _, ok := unused[m.name]; ok == used {
				t.Errorf("%s: used is %v", m.name, used)
			}
			delete(unused, m.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		t.Errorf("%s is no metric", name)
	}
}
