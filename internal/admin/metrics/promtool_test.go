package metrics

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// promtool gives the program that knows the rules' language. Without it the test skips; where PATCHBAY_INTEROP=1 says
// that the tools of other projects are there, it fails.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err == nil {
		return path
	}
	if os.Getenv("PATCHBAY_INTEROP") == "1" {
		t.Fatal("there is no promtool (.ci/run tools, or Debian's package prometheus)")
	}
	t.Skip("there is no promtool in PATH: the alert rules are not tested")
	return ""
}

// TestPromtool lets Prometheus's own tool check the rules, run their tests, and check a scrape.
func TestPromtool(t *testing.T) {
	tool := promtool(t)
	run := func(in string, args ...string) (string, bool) {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	if out, ok := run("", "check", "rules", rulesFile); !ok {
		t.Errorf("check rules: %s", out)
	}
	if out, ok := run("", "test", "rules", rulesTestFile); !ok {
		t.Errorf("test rules: %s", out)
	}
	st := newStage(t)
	st.traffic()
	if out, ok := run(st.page(), "check", "metrics"); !ok {
		t.Errorf("check metrics: %s", out)
	}

	// The tests of rules can fail: an alert that waits longer is found missing.
	dir := t.TempDir()
	for name, change := range map[string][2]string{rulesFile: {"for: 1m", "for: 1h"}, rulesTestFile: {}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if change[0] != "" {
			text = []byte(strings.ReplaceAll(string(text), change[0], change[1]))
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, ok := run("", "test", "rules", filepath.Join(dir, "rules_test.yaml")); ok || !strings.Contains(out, "PatchbayNodeAway") {
		t.Errorf("alerts that come an hour late are not found: %s", out)
	}
}
