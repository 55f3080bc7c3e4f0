package patchbay_test

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// architecture holds the table of goroutines, under the heading "Goroutines": a row begins with `FILE:FUNCTION`, the
// function that starts it, and says who waits for it.
const architecture = "ARCHITECTURE.md"

// TestGoroutines compares the table with the tree, both ways.
func TestGoroutines(t *testing.T) {
	text, err := os.ReadFile(architecture)
	if err != nil {
		t.Error(err)
	}
	listed := rows(string(text))
	var started, missing []string
	for _, s := range tree(t) {
		if !s.test && !strings.HasPrefix(s.path, "examples/") {
			started = append(started, starts(s)...)
		}
	}
	slices.Sort(started)
	for _, row := range slices.Compact(started) {
		if !slices.Contains(listed, row) {
			missing = append(missing, "| `"+row+"` | what it does | when it ends | who waits for it |")
		}
	}
	if len(missing) > 0 {
		t.Errorf("%s lacks these rows under Goroutines:\n%s", architecture, strings.Join(missing, "\n"))
	}
	for _, row := range listed {
		if !slices.Contains(started, row) {
			t.Errorf("%s lists `%s`, which starts no goroutine", architecture, row)
		}
	}
}

// starts gives FILE:FUNCTION of each function that starts a goroutine: by a go statement or by Go of a WaitGroup.
func starts(s *source) (all []string) {
	for name, f := range s.functions() {
		found := false
		each(f, func(*ast.GoStmt) { found = true })
		each(f, func(c *ast.CallExpr) {
			sel, ok := c.Fun.(*ast.SelectorExpr)
			found = found || ok && sel.Sel.Name == "Go" && len(c.Args) == 1
		})
		if found {
			all = append(all, s.path+":"+name)
		}
	}
	return all
}

var (
	heading = regexp.MustCompile(`(?m)^#+ .*`)
	row     = regexp.MustCompile("(?m)^\\|\\s*`([^`]+\\.go:[^`]+)`")
)

// rows gives the first column of the table under the heading Goroutines.
func rows(text string) (all []string) {
	for _, at := range heading.FindAllStringIndex(text, -1) {
		if !strings.Contains(text[at[0]:at[1]], "Goroutines") {
			continue
		}
		section := text[at[1]:]
		if next := heading.FindStringIndex(section); next != nil {
			section = section[:next[0]]
		}
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// TestRows reads a table.
func TestRows(t *testing.T) {
	const text = "# A\n| `x.go:No` | |\n## 3. Goroutines\n| started by | |\n|---|---|\n| `a/b.go:T.f` | x |\n|`c.go:New`|\n## B\n| `y.go:No` |\n"
	if got := strings.Join(rows(text), " "); got != "a/b.go:T.f c.go:New" {
		t.Errorf("got %s", got)
	}
}
