package conformance_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// probes are the components that a small server knows.
var probes = []conformance.NodeName{
	{Domain: "c1.probe.test", Secret: "secret of the first"},
	{Domain: "c2.probe.test", Secret: "secret of the second"},
	{Domain: "c3.probe.test", Secret: "secret of the third"},
}

// atOnce is how many servers are judged at one time: nearly all of it is waiting.
const atOnce = 24

// unmet are the cases that the small server does not pass, each with its reason.
var unmet = map[string]string{
	"G01-no-from-is-refused":  "it fills in the sender, as the rule permits",
	"I04-kept-for-its-return": "it keeps nothing for who is away",
	"J08-delay":               "it keeps nothing for who is away",
	"B09-what-waits-moves":    "it has no proof of delivery, so it has nothing to give to the next link",
}

// componentCases are the cases of profile component, by rule.
func componentCases(t *testing.T) map[string][]*conformance.Case {
	t.Helper()
	all, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	byRule := map[string][]*conformance.Case{}
	for _, c := range all {
		if c.Profile == conformance.Component {
			byRule[c.Rule()] = append(byRule[c.Rule()], c)
		}
	}
	return byRule
}

// verdict is what became of a fault.
type verdict struct {
	failed *conformance.Result // nil if no case did
	err    error               // the suite gave up
}

// judge plays cases, each against a small server of its own, until one fails that does not fail without the wrong.
func judge(ctx context.Context, w *wrong, cases []*conformance.Case) verdict {
	for _, c := range cases {
		if unmet[c.ID] != "" {
			continue
		}
		found, err := playSmall(ctx, w, []*conformance.Case{c})
		if err != nil {
			return verdict{err: fmt.Errorf("play %s: %w", c.ID, err)}
		}
		if word := found.Results[0].Word; word != conformance.Fail && (word != conformance.Soft || !w.soft) {
			continue
		}
		right, err := playSmall(ctx, &wrong{stress: w.stress}, []*conformance.Case{c})
		if err != nil {
			return verdict{err: fmt.Errorf("play %s: %w", c.ID, err)}
		}
		if right.Results[0].Word == conformance.Pass {
			return verdict{failed: &found.Results[0]}
		}
	}
	return verdict{}
}

// playSmall plays cases against one small server.
func playSmall(ctx context.Context, w *wrong, cases []*conformance.Case) (*conformance.Run, error) {
	s, err := startSmall(probes, w)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	target := conformance.Target{Addr: s.listener.Addr().String(), Nodes: probes, Server: s.domain, Stress: w.stress}
	return conformance.Play(ctx, target, cases, func(conformance.Result) {})
}

// abreast calls f for 0 to n-1, at most so many at one time.
func abreast(n, most int, f func(i int)) {
	var done sync.WaitGroup
	room := make(chan struct{}, most)
	for i := range n {
		room <- struct{}{}
		done.Go(func() {
			f(i)
			<-room
		})
	}
	done.Wait()
}

// TestSmall sees that the small server without a wrong passes every case, but those that unmet names.
func TestSmall(t *testing.T) {
	t.Parallel()
	byRule := componentCases(t)
	for id := range unmet {
		rule, _, _ := strings.Cut(id, "-")
		if !slices.ContainsFunc(byRule[rule], func(c *conformance.Case) bool { return c.ID == id }) {
			t.Errorf("there is no case %s, which the small server is said not to pass", id)
		}
	}
	rules := slices.Sorted(maps.Keys(byRule))
	runs, errs := make([]*conformance.Run, len(rules)), make([]error, len(rules))
	abreast(len(rules), atOnce, func(i int) {
		runs[i], errs[i] = playSmall(t.Context(), &wrong{}, byRule[rules[i]])
	})
	for i, run := range runs {
		if errs[i] != nil {
			t.Errorf("%s: %v", rules[i], errs[i])
			continue
		}
		for _, r := range run.Results {
			why, known := unmet[r.Case.ID]
			if sound := r.Word == conformance.Pass || r.Word == conformance.Skipped; sound == known {
				t.Errorf("%s %s (unmet: %q): %s %s", r.Word, r.Case.ID, why, r.Why, tell(&r))
			}
		}
	}
}

// TestFaults sees that each fault is found by a case of its own rule, all of which TestSmall saw to pass without it.
func TestFaults(t *testing.T) {
	t.Parallel()
	byRule := componentCases(t)
	faults := slices.Concat(streamFaults, stanzaFaults)
	verdicts := make([]verdict, len(faults))
	abreast(len(faults), atOnce, func(i int) {
		verdicts[i] = judge(t.Context(), &faults[i].wrong, byRule[faults[i].rule])
	})
	for i, f := range faults {
		t.Run(f.rule+" "+f.what, func(t *testing.T) {
			switch v := verdicts[i]; {
			case v.err != nil:
				t.Error(v.err)
			case v.failed == nil:
				t.Errorf("none of %d cases found it", len(byRule[f.rule]))
			default:
				t.Logf("%s: %s", v.failed.Case.ID, tell(v.failed))
			}
		})
	}
}

// untried are the rules with cases that no fault breaks, each with its reason.
var untried = map[string]string{
	"I07": "the small server has no users",
}

// TestFaultsCover sees that no rule is forgotten: one whose cases nothing makes fail may have cases that cannot.
func TestFaultsCover(t *testing.T) {
	tried := map[string]bool{}
	for _, f := range slices.Concat(streamFaults, stanzaFaults) {
		tried[f.rule] = true
	}
	for rule := range componentCases(t) {
		if why := untried[rule]; tried[rule] == (why != "") {
			t.Errorf("%s: a fault breaks it: %v; untried has %q", rule, tried[rule], why)
		}
	}
}

// tell is where a case failed.
func tell(r *conformance.Result) string {
	if r.Fault == nil {
		return ""
	}
	line := ""
	if r.Fault.Line > 0 {
		line = r.Case.Lines[r.Fault.Line-1]
	}
	return fmt.Sprintf("line %d, %s: got %s", r.Fault.Line, line, r.Fault.Got)
}
