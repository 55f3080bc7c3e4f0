package patchbay_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lastLesson is the highest number of the lessons of SECURITY.md.
const lastLesson = 25

var (
	lessonRow = regexp.MustCompile(`(?m)^\| (S\d+) \|(.+)\|\s*$`)
	sceneLine = regexp.MustCompile(`(?m)^== .*$`)
	lessonID  = regexp.MustCompile(`\bS\d+\b`)
)

// TestSecurityLessons wants each lesson to have a row; one that applies names plays that bear its number, or tests that
// exist, and one that does not says so.
func TestSecurityLessons(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lessonFaults(string(text), lessonsPlayed(t), readCatalogue(t).funcs) {
		t.Error(f)
	}
}

// lessonFaults finds what is wrong with the table of lessons.
func lessonFaults(text string, played, tests map[string]bool) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	rows := map[string]string{}
	for _, m := range lessonRow.FindAllStringSubmatch(text, -1) {
		if rows[m[1]] != "" {
			say("%s has two rows", m[1])
		}
		rows[m[1]] = m[2]
	}
	for i := range lastLesson {
		id := fmt.Sprintf("S%d", i+1)
		cells := strings.Split(rows[id], "|")
		if len(cells) != 4 {
			say("%s has no row of five cells", id)
			continue
		}
		here, held := cells[2], cells[3]
		named := codeMark.FindAllStringSubmatch(held, -1)
		for _, m := range named {
			if !tests[m[1]] {
				say("%s is held by %s, which is no test", id, m[1])
			}
		}
		inPlays := strings.Contains(held, "plays")
		switch {
		case inPlays && !played[id]:
			say("%s is held by plays, and no scene bears the number", id)
		case !inPlays && played[id]:
			say("%s is played, and its row does not say so", id)
		case !inPlays && len(named) == 0 && !strings.Contains(here, "not here:"):
			say("%s is held by nothing", id)
		}
	}
	return found
}

// lessonsPlayed gives the numbers of the lessons that scenes bear in their titles.
func lessonsPlayed(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("internal/server/testdata/plays/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no plays", err)
	}
	played := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, title := range sceneLine.FindAllString(string(text), -1) {
			for _, id := range lessonID.FindAllString(title, -1) {
				played[id] = true
			}
		}
	}
	return played
}

// TestLessonFaults plants what TestSecurityLessons must find.
func TestLessonFaults(t *testing.T) {
	all := func(n int, row string) string {
		var b strings.Builder
		for i := range lastLesson {
			if i+1 == n {
				b.WriteString(row)
			} else {
				fmt.Fprintf(&b, "| S%d | a | b | not here: c | |\n", i+1)
			}
		}
		return b.String()
	}
	played, tests := map[string]bool{"S3": true}, map[string]bool{"TestX": true}
	for _, c := range []struct {
		n         int
		row, want string
	}{
		{3, "| S3 | a | b | c | plays, `TestX` |\n", ""},
		{3, "", "S3 has no row"},
		{3, "| S3 | a | b | c | `TestX` |\n", "S3 is played"},
		{3, "| S3 | a | b | c | plays, `TestY` |\n", "TestY, which is no test"},
		{4, "| S4 | a | b | c | plays |\n", "no scene bears the number"},
		{4, "| S4 | a | b | c | |\n", "S4 is held by nothing"},
		{4, "| S4 | a | b | c | |\n| S4 | a | b | c | |\n", "S4 has two rows"},
	} {
		lessons := all(c.n, c.row)
		if c.n != 3 { // the one that is played needs its own row to be right
			lessons = strings.Replace(lessons, "| S3 | a | b | not here: c | |", "| S3 | a | b | c | plays |", 1)
		}
		found := strings.Join(lessonFaults(lessons, played, tests), "\n")
		if c.want == "" && found != "" || !strings.Contains(found, c.want) {
			t.Errorf("%q: %q, want %q", c.row, found, c.want)
		}
	}
}
