package patchbay_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// page is one document.
type page struct {
	path string // from the root, with /
	text string // without its fenced blocks
}

// pages are the documents of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "examples/*.md", "examples/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page{filepath.ToSlash(file), unfenced(string(text))})
		}
	}
	return all
}

// unfenced blanks out fenced blocks, so that lines keep their numbers.
func unfenced(text string) string {
	lines, inside := strings.Split(text, "\n"), false
	for i, l := range lines {
		if strings.HasPrefix(strings.TrimSpace(l), "```") {
			inside = !inside
			lines[i] = ""
		} else if inside {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// catalogue is what a document may name.
type catalogue struct {
	files map[string]bool // files and folders by their path
	bases map[string]bool // files by their last word
	funcs map[string]bool // tests, fuzz targets, benchmarks
	roots map[string]bool // folders at the top
}

func readCatalogue(t *testing.T) *catalogue {
	t.Helper()
	c := &catalogue{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		p = filepath.ToSlash(p)
		switch {
		case err != nil:
			return err
		case p == ".git" && d.IsDir(): // in a worktree it is a file
			return fs.SkipDir
		}
		c.files[p], c.bases[path.Base(p)] = true, true
		if d.IsDir() && !strings.Contains(p, "/") {
			c.roots[p] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range tree(t) {
		for name := range s.functions() {
			c.funcs[name] = true
		}
	}
	return c
}

var (
	linkTo      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeMark    = regexp.MustCompile("`([^`\n]+)`")
	repoPath    = regexp.MustCompile(`^(\.?[A-Za-z0-9_-]+)(/[A-Za-z0-9_.*-]+)+/?$`)
	repoFile    = regexp.MustCompile(`^[A-Za-z0-9_-]+\.(go|md|mod|sum)$`)
	testName    = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z0-9][A-Za-z0-9_]*$`)
	symbol      = regexp.MustCompile(`^([^:]+\.go):([A-Za-z.]+|\d+)$`)
	headingLine = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notSlug     = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// faults finds the links and paths of a page that lead nowhere.
func (c *catalogue) faults(p page) (found []string) {
	for i, l := range strings.Split(p.text, "\n") {
		say := func(what, name string) {
			found = append(found, fmt.Sprintf("%s:%d: %s %s", p.path, i+1, what, name))
		}
		for _, m := range linkTo.FindAllStringSubmatch(l, -1) {
			if !c.links(p, m[1]) {
				say("the link leads nowhere:", m[1])
			}
		}
		for _, m := range codeMark.FindAllStringSubmatch(l, -1) {
			if what := c.names(m[1]); what != "" {
				say(what, m[1])
			}
		}
	}
	return found
}

// links reports whether a link has a target: anything in the net, or a file here, with the heading if it names one.
func (c *catalogue) links(p page, to string) bool {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return true
	}
	file, anchor, _ := strings.Cut(to, "#")
	target := p.path
	if file != "" {
		target = path.Join(path.Dir(p.path), file)
	}
	if !c.files[target] || anchor == "" {
		return c.files[target]
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return false
	}
	for _, m := range headingLine.FindAllStringSubmatch(unfenced(string(text)), -1) {
		if slug(m[1]) == anchor {
			return true
		}
	}
	return false
}

// slug is the anchor of a heading, as the forge makes it.
func slug(h string) string {
	return strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(h), ""), " ", "-")
}

// names says what is wrong with a name in code marks, if it looks like a path, a file or a test of ours.
func (c *catalogue) names(mark string) string {
	mark = strings.TrimPrefix(mark, "./")
	if m := symbol.FindStringSubmatch(mark); m != nil {
		mark = m[1]
	}
	switch {
	case testName.MatchString(mark) && !c.funcs[mark]:
		return "there is no test"
	case repoFile.MatchString(mark) && !c.bases[mark]:
		return "there is no file"
	case repoPath.MatchString(mark) && c.roots[repoPath.FindStringSubmatch(mark)[1]] && !c.file(strings.TrimSuffix(mark, "/")):
		return "there is no path"
	}
	return ""
}

// file reports whether a path, perhaps with *, names anything.
func (c *catalogue) file(name string) bool {
	if strings.HasSuffix(name, "/...") {
		return c.files[strings.TrimSuffix(name, "/...")]
	}
	if !strings.Contains(name, "*") {
		return c.files[name]
	}
	found, err := filepath.Glob(name)
	return err == nil && len(found) > 0
}

// TestDocs fails on a relative link, a path of the repository or a test that a document names and that is not there.
func TestDocs(t *testing.T) {
	c, seen := readCatalogue(t), 0
	for _, p := range pages(t) {
		seen++
		for _, f := range c.faults(p) {
			t.Error(f)
		}
	}
	if seen < 5 {
		t.Errorf("only %d documents were found", seen)
	}
}

// TestDocsFindsFaults plants what TestDocs must find, and its harmless neighbours.
func TestDocsFindsFaults(t *testing.T) {
	c := readCatalogue(t)
	for _, x := range []struct{ text, want string }{
		{"[a](floors_test.go) [b](docs/adr) [c](https://example.org/x) `docs/adr/` `stanza/*.go` `internal/...` [e](README.md#licence)", ""},
		{"`TestFloors` `style_test.go` `internal/server/server.go:Server.Stop` `wait/remote-server-timeout` `go test ./...` `a.im.example/x`", ""},
		{"[a](no-such-file.md)", "no-such-file.md"},
		{"[a](#nothing)", "#nothing"},
		{"`docs/no-such-page.md`", "docs/no-such-page.md"},
		{"`internal/nowhere`", "internal/nowhere"},
		{"`stanza/*.rb`", "stanza/*.rb"},
		{"`nothing.go`", "nothing.go"},
		{"`TestNoSuchTest`", "TestNoSuchTest"},
		{"```\n`TestNoSuchTest`\n```", ""},
	} {
		found := strings.Join(c.faults(page{"README.md", unfenced(x.text)}), "\n")
		if x.want == "" && found != "" || !strings.Contains(found, x.want) {
			t.Errorf("%q: %q, want %q", x.text, found, x.want)
		}
	}
}

var adrTitle = regexp.MustCompile(`^# (\d+)\. (.+)\n`)

// TestDecisions wants each decision to have a number of its own, its title in docs/adr/README.md, and its price.
func TestDecisions(t *testing.T) {
	files, err := filepath.Glob("docs/adr/0*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no decisions", err)
	}
	index, err := os.ReadFile("docs/adr/README.md")
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		m := adrTitle.FindStringSubmatch(string(text))
		if m == nil {
			t.Errorf("%s does not begin with a number and a title", file)
			continue
		}
		number, _ := strconv.Atoi(m[1])
		if number <= last || !strings.HasPrefix(name, fmt.Sprintf("%04d-", number)) {
			t.Errorf("%s says that it is number %d; the one before is %d", file, number, last)
		}
		last = number
		if !strings.Contains(string(text), "Price") {
			t.Errorf("%s does not tell its price", file)
		}
		if row := fmt.Sprintf("%s. [%s](%s)\n", m[1], m[2], name); !strings.Contains(string(index), row) {
			t.Errorf("docs/adr/README.md lacks the line %q", row)
		}
	}
	if n := strings.Count(string(index), "](0"); n != len(files) {
		t.Errorf("docs/adr/README.md lists %d decisions of %d", n, len(files))
	}
}

var figure = regexp.MustCompile("\\*\\*([^*]+)\\*\\* \\(`([^`]+)`\\)")

// TestFigures holds each figure that docs/rfc.md quotes, with its command, against the table of docs/performance.md.
func TestFigures(t *testing.T) {
	quoted, err := os.ReadFile("docs/rfc.md")
	if err != nil {
		t.Fatal(err)
	}
	measured, err := os.ReadFile("docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	figures := figure.FindAllStringSubmatch(string(quoted), -1)
	if len(figures) == 0 {
		t.Error("docs/rfc.md quotes no figure: has their form changed?")
	}
	for _, m := range figures {
		if !measuredFigure(string(measured), m[1], m[2]) {
			t.Errorf("docs/rfc.md says %s of %s, docs/performance.md does not", m[1], m[2])
		}
	}
	if measuredFigure(string(measured), "0.01 us", "Relay/Node250B") || measuredFigure(string(measured), "0.46 us", "Slow") {
		t.Error("a figure that was not measured is taken")
	}
}

// measuredFigure reports whether a row of the table has a figure and a command.
func measuredFigure(table, value, command string) bool {
	for _, row := range strings.Split(table, "\n") {
		if strings.HasPrefix(row, "|") && strings.Contains(row, "`"+command+"`") && strings.Contains(row, " "+value) {
			return true
		}
	}
	return false
}
