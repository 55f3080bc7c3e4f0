package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/conformance-rules.md anew")

// complete says that the cases have landed: from then on it is a fault when a rule that can be seen has none, or when a case has another
// level than its rule and does not say why.
const complete = true

// TestRulesAreInOrder: ids rise without a gap, and each record says what a reader needs.
func TestRulesAreInOrder(t *testing.T) {
	rules, err := parseRules(ruleText)
	if err != nil {
		t.Fatal(err)
	}
	last := "A00"
	for _, r := range rules {
		want := fmt.Sprintf("%s%02d", last[:1], ruleNumber(t, last)+1)
		if r.ID[0] != last[0] {
			want = r.ID[:1] + "01"
			if r.ID[0] < last[0] {
				want = "a letter after " + last[:1]
			}
		}
		if r.ID != want {
			t.Errorf("%s stands where %s is due", r.ID, want)
		}
		if (r.Unseen == "") == (len(r.Profiles) == 0) {
			t.Errorf("%s has %d profiles, and is unseen because %q", r.ID, len(r.Profiles), r.Unseen)
		}
		last = r.ID
	}
	if len(rules) < 147 {
		t.Errorf("there are %d rules", len(rules))
	}
}

// ruleNumber is the number of an id.
func ruleNumber(t *testing.T, id string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(id[1:], "%02d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestParseRulesRefuses: a line that is none is told with its number.
func TestParseRulesRefuses(t *testing.T) {
	const head = "# A Stream\nA01 | MUST | component | RFC 6120 4.2 | It is so.\n"
	for _, tt := range []struct{ text, want string }{
		{"A01 | MUST | component | RFC 6120 4.2 | It is so.", "rules.txt:1: no section A has begun"},
		{head + "A02 | MUSS | component | RFC 6120 4.2 | It is so.", "rules.txt:3: MUSS is no level"},
		{head + "A02 | MUST | servers | RFC 6120 4.2 | It is so.", "rules.txt:3: servers is no profile"},
		{head + "A02 | MUST | component | RFC 6120 4.2", "rules.txt:3: \"A02"},
		{head + "A02 | MUST | component | RFC 6120 4.2 | No full stop", "rules.txt:3: \"A02"},
		{head + "  because: it is", "rules.txt:3: a rule has no because:"},
		{head + "  unseen: a\n  unseen: b", "rules.txt:4: A01 has two unseen:"},
		{"  unseen: a", "rules.txt:1: \"  unseen: a\" is not"},
	} {
		if _, err := parseRules(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

// ruleFaults tells where cases and rules do not go together, where their levels differ without a word, and which rules have no case.
func ruleFaults(rules []Rule, cases []*Case) (faults, levels, missing []string) {
	judged := map[string]bool{}
	for _, c := range cases {
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == c.Rule() })
		if i < 0 {
			faults = append(faults, c.File+": there is no rule "+c.Rule())
			continue
		}
		r := rules[i]
		judged[r.ID] = true
		if !slices.Contains(r.Profiles, c.Profile) {
			faults = append(faults, fmt.Sprintf("%s: the rule is judged in %v", c.File, r.Profiles))
		}
		if c.Level != r.Level && c.About == "" {
			levels = append(levels, fmt.Sprintf("%s: it is %s, its rule %s, and about does not say why", c.File, c.Level, r.Level))
		}
	}
	for _, r := range rules {
		if r.Unseen == "" && !judged[r.ID] {
			missing = append(missing, r.ID)
		}
	}
	return faults, levels, missing
}

// TestCasesAndRules: each case is of a rule, in a profile of its, and each rule that can be seen has a case.
func TestCasesAndRules(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	faults, levels, missing := ruleFaults(Rules(), cases)
	say := t.Logf
	if complete {
		say = t.Errorf
	}
	for _, f := range faults {
		t.Error(f)
	}
	for _, f := range levels {
		say("%s", f)
	}
	if len(missing) > 0 {
		say("%d rules have no case: %s", len(missing), strings.Join(missing, " "))
	}
}

// TestRuleFaultsFinds: the test above can fail, in each of its ways.
func TestRuleFaultsFinds(t *testing.T) {
	rules := []Rule{{ID: "A01", Level: Must, Profiles: []Profile{Component}}, {ID: "A02", Level: Must, Unseen: "no"}, {ID: "A03", Level: Must, Profiles: []Profile{Modern}}}
	cases := []*Case{
		{ID: "A01-right", Level: Must, Profile: Component, File: "right"},
		{ID: "A01-less", Level: Policy, Profile: Component, File: "less", About: "nobody says so"},
		{ID: "A01-silent", Level: Policy, Profile: Component, File: "silent"},
		{ID: "A01-elsewhere", Level: Must, Profile: Node, File: "elsewhere"},
		{ID: "Z01-unknown", Level: Must, Profile: Component, File: "unknown"},
	}
	faults, levels, missing := ruleFaults(rules, cases)
	for _, tt := range []struct {
		got, want []string
	}{
		{faults, []string{"elsewhere: the rule is judged in [component]", "unknown: there is no rule Z01"}},
		{levels, []string{"silent: it is policy, its rule MUST, and about does not say why"}},
		{missing, []string{"A03"}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

const rulesPage = "../docs/conformance-rules.md"

// TestRulesPage: the page is the catalogue; -update writes it.
func TestRulesPage(t *testing.T) {
	want := writeRules(Rules())
	if *update {
		if err := os.WriteFile(rulesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(rulesPage)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what rules.txt says (%v): run go test ./conformance -run TestRulesPage -update", rulesPage, err)
	}
}

const rulesHead = `# The rules of the conformance suite

What ` + "`patchbay conformance`" + ` holds a server for components to, and in the section N a component. [conformance.md](conformance.md) says how a case is written;
the id of a case begins with its rule. This page is made from [rules.txt](../conformance/rules.txt) by a test.

Levels are those of RFC 2119; *policy* is a choice of patchbay's that no document asks for. A case of another level than its rule says why. Documents:
RFC 6120, 6121 and 7622 in the sources of the XSF (github.com/xsf/rfcs), the XEPs in theirs (github.com/xsf/xeps), XML 1.0 (fifth edition), Namespaces in XML 1.0 (third edition).

| level | rules | of these unseen |
|---|---|---|
`

// writeRules writes the page.
func writeRules(rules []Rule) string {
	var b strings.Builder
	b.WriteString(rulesHead)
	for _, l := range Levels {
		all, unseen := 0, 0
		for _, r := range rules {
			if r.Level == l {
				all++
				if r.Unseen != "" {
					unseen++
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d |\n", l, all, unseen)
	}
	section := ""
	for _, r := range rules {
		if r.Section != section {
			section = r.Section
			fmt.Fprintf(&b, "\n## %s. %s\n| rule | level | profiles | what is right | sources |\n|---|---|---|---|---|\n", r.ID[:1], section)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.ID, r.Level, profileWords(r), escapeCell(r.Says), escapeCell(r.Source))
	}
	for _, list := range []struct {
		title, intro string
		of           func(Rule) string
	}{
		{"Unseen", "Rules that no case judges: a black box on a link of a component does not show them, or not yet.", func(r Rule) string { return r.Unseen }},
		{"Choices", "Where patchbay goes a way of its own, or takes one of several that are open. ADR are the decisions in [adr](adr/README.md).", func(r Rule) string { return r.Choice }},
		{"Corrected", "An earlier catalogue was written from knowledge. The sections were then read in the texts, as far as they are not below Not checked; where the two differ, this is what the text says.", func(r Rule) string { return r.Corrected }},
		{"Not checked", "What of the sources could not be read, or was not.", func(r Rule) string { return r.Unchecked }},
	} {
		fmt.Fprintf(&b, "\n## %s\n%s\n\n| rule | |\n|---|---|\n", list.title, list.intro)
		for _, r := range rules {
			if text := list.of(r); text != "" {
				fmt.Fprintf(&b, "| %s | %s |\n", r.ID, escapeCell(text))
			}
		}
	}
	return b.String()
}

// profileWords lists the profiles of a rule.
func profileWords(r Rule) string {
	if r.Unseen != "" {
		return "unseen"
	}
	var words []string
	for _, p := range r.Profiles {
		words = append(words, string(p))
	}
	return strings.Join(words, ", ")
}

// escapeCell makes a text fit for a cell of a table.
func escapeCell(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", `\|`).Replace(s)
}
