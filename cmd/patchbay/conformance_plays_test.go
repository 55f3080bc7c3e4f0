package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConformancePlays: plays of one's own are played instead of those of the suite, and a fault in one is told with its place before
// anything is run.
func TestConformancePlays(t *testing.T) {
	dir := t.TempDir()
	write := func(name, steps string) {
		t.Helper()
		text := "title: it works\nsource: none\nlevel: policy\n\n" + steps + "\n"
		if err := os.MkdirAll(filepath.Join(dir, "component"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "component", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("X01-of-my-own.txt", "c1 attach\nc1 expect nothing until c1")
	got := invoke(t, "conformance", "--plays", dir, "--list", "--level", "policy")
	if got.code != exitDone || !strings.HasPrefix(got.out, "X01-of-my-own") || strings.Count(got.out, "\n") != 1 {
		t.Errorf("%+v", got)
	}
	write("X02-wrong.txt", "c1 attack")
	if got = invoke(t, "conformance", "--plays", dir, "--list"); got.code != exitUsage || !strings.Contains(got.err, "X02-wrong.txt:5:4: there is no verb attack") {
		t.Errorf("%+v", got)
	}
	if got = invoke(t, "conformance", "--plays", filepath.Join(dir, "none"), "--list"); got.code != exitUsage || !strings.Contains(got.err, "read the plays") {
		t.Errorf("%+v", got)
	}
}
