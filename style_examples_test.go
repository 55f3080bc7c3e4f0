package patchbay_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The caps on an example: it is read in one go by somebody who has never seen XMPP. Width keeps it from being squeezed in.
const (
	mostExample = 80  // lines of all source of one example
	mostColumns = 130 // of a line, a tab counted as four
)

// noSource are the endings of files that an example's reader need not read: its README, and the lists of npm.
var noSource = []string{".md", ".json"}

// TestExamplesAreShort measures each folder of examples.
func TestExamplesAreShort(t *testing.T) {
	folders, err := filepath.Glob("examples/*/README.md")
	if err != nil || len(folders) < 4 {
		t.Fatalf("%d examples: %v", len(folders), err)
	}
	for _, readme := range folders {
		folder, lines := filepath.Dir(readme), 0
		for path, text := range exampleSource(t, folder) {
			lines += strings.Count(text, "\n")
			n := 0
			for line := range strings.Lines(text) {
				n++
				if wide := utf8.RuneCountInString(strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    ")); wide > mostColumns {
					t.Errorf("%s:%d: %d columns; %d is the most", path, n, wide, mostColumns)
				}
			}
		}
		if lines == 0 || lines > mostExample {
			t.Errorf("%s has %d lines of source; %d is the most, and one the least", folder, lines, mostExample)
		}
	}
}

// exampleSource gives the text of each file that makes an example, by path: also below its folder, but nothing that a tool put there.
func exampleSource(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"node_modules", "__pycache__"}, d.Name()):
			return fs.SkipDir
		case d.IsDir() || slices.Contains(noSource, filepath.Ext(path)):
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
