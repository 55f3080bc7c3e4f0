package ctl

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

var rewrite = flag.Bool("rewrite", false, "write the screens of testdata anew: look at the difference")

// screens are all that is drawn, by the name of its file. A name without a width is drawn at 96 columns.
var screens = map[string]func(s Screen) string{
	"status":        func(s Screen) string { return s.Status(someStatus()) },
	"status-fresh":  func(s Screen) string { return s.Status(freshStatus()) },
	"nodes":         func(s Screen) string { return s.Nodes(someNodes()) },
	"nodes-none":    func(s Screen) string { return s.Nodes(api.Nodes{Server: hub, Time: now}) },
	"nodes-long":    func(s Screen) string { return s.Nodes(longNodes()) },
	"node":          func(s Screen) string { return s.Node(only(3)) },
	"node-draining": func(s Screen) string { return s.Node(only(4)) },
	"node-slow":     func(s Screen) string { return s.Node(only(1)) },
	"node-memory": func(s Screen) string {
		v := only(2)
		v.Nodes[0].OutboxMax = 0
		return s.Node(v)
	},
	"node-never":    func(s Screen) string { return s.Node(only(6)) },
	"links":         func(s Screen) string { return s.Links(someLinks()) },
	"links-none":    func(s Screen) string { return s.Links(api.Links{Time: now}) },
	"closed":        func(s Screen) string { return s.Links(someClosed()) },
	"closed-none":   func(s Screen) string { return s.Links(api.Links{Time: now, Closed: true}) },
	"sessions":      func(s Screen) string { return s.Sessions(someSessions()) },
	"sessions-none": func(s Screen) string { return s.Sessions(api.Sessions{Time: now, Loading: true}) },
	"where":         func(s Screen) string { return s.Where(someWhere()) },
	"where-offline": func(s Screen) string {
		return s.Where(api.Where{Time: now, JID: "carol@im.example", Answer: "offline"})
	},
	"outcomes":        func(s Screen) string { return s.Outcomes(someOutcomes()) },
	"outcomes-reason": func(s Screen) string { return s.Outcomes(oneOutcome()) },
	"outcomes-off":    func(s Screen) string { return s.Outcomes(offByTwo()) },
	"explain-deliver": func(s Screen) string { return s.Explain(delivered()) },
	"explain-bounce":  func(s Screen) string { return s.Explain(bounced()) },
	"explain-refused": func(s Screen) string { return s.Explain(refused()) },
	"tap":             func(s Screen) string { return drawAll(s.Tapped, someTap()) },
	"doctor":          func(s Screen) string { return s.Doctor(someDoctor()) },
	"top":             func(s Screen) string { return s.Top(someStatus(), someNodes(), "queue", 0) },
	"top-short":       func(s Screen) string { return s.Top(someStatus(), someNodes(), "sessions", 9) },
	"drained-server": func(s Screen) string {
		v := api.Drained{Draining: true, Sessions: 182_431, Queue: 14, QueueBytes: 5_096, Held: 3, OldestSecs: 12.4, LeftNodes: 7, Left: []api.Left{
			{Node: "node1.im.example", State: api.StateAttached, Sessions: 182_401, Queue: 12, QueueBytes: 4_096, OldestSecs: 0.4},
			{Node: "node2.im.example", State: api.StateAway, Sessions: 30, Queue: 2, QueueBytes: 1_000, OldestSecs: 12.4},
			{Node: "node3.im.example", State: api.StateDraining, Sessions: 1}}}
		return s.Drained(v) + s.Left(v)
	},
	"drained": func(s Screen) string {
		return drawAll(s.Drained, []api.Drained{
			{Node: "node1.im.example", Draining: true, Sessions: 182_401, Queue: 12, QueueBytes: 4_096, OldestSecs: 0.4},
			{Node: "node1.im.example", Draining: true, Safe: true, Sessions: 1}, {Draining: true, Safe: true}, {Node: "node1.im.example"}})
	},
	"reloaded":      func(s Screen) string { return s.Reloaded(someReload()) },
	"reloaded-none": func(s Screen) string { return s.Reloaded(api.Reloaded{File: api.ConfigFile{File: "patchbay.yaml"}}) },
	"faults":        func(s Screen) string { return s.Refused(someFaults()) },
	"kicked": func(s Screen) string {
		return s.Kicked("bob@im.example", api.Kicked{Sessions: 2}) + s.Kicked("node1.im.example", api.Kicked{Links: 1, Sessions: 90_000}) + s.Kicked("x\x1b", api.Kicked{})
	},
}

// TestLongName: a name that a node has chosen is cut in a pipe, too; -o wide has all of it.
func TestLongName(t *testing.T) {
	v := only(0)
	v.Nodes[0].Domain = strings.Repeat("a", 1000) + ".example"
	for wide, want := range map[bool]int{false: mostCell, true: 1008} {
		lines := strings.Split(Screen{Wide: wide}.Nodes(v), "\n")
		if name, _, _ := strings.Cut(lines[1], " "); width(name) != want {
			t.Errorf("wide %v: %d columns", wide, width(name))
		}
	}
}

func only(i int) api.Nodes {
	v := someNodes()
	v.Nodes = v.Nodes[i : i+1]
	if v.Wrong = nil; i == 3 {
		v.Wrong = someWrong()[:1]
	}
	return v
}

func drawAll[T any](draw func(T) string, all []T) (drawn string) {
	for _, x := range all {
		drawn += draw(x)
	}
	return drawn
}

// TestScreens compares what is drawn with testdata. go test ./internal/ctl -run TestScreens -rewrite
func TestScreens(t *testing.T) {
	for name, draw := range screens {
		golden(t, name+".96", draw(Screen{Width: 96}))
	}
	for _, name := range []string{"status", "status-fresh", "nodes", "nodes-long", "links", "closed", "sessions", "where", "outcomes", "explain-deliver", "top"} {
		golden(t, name+".80", screens[name](Screen{Width: 80}))
	}
	for _, name := range []string{"nodes", "sessions", "outcomes", "tap", "nodes-long"} {
		golden(t, name+".wide", screens[name](Screen{Wide: true}))
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) != len(screens)+11+5 {
		t.Errorf("%d files of screens, %v: one is of no screen", len(files), err)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s (%v):\n%s", name, err, got)
	}
}

// TestScreensKeepTheirWidth: no line of a table or a text is longer than the screen, nothing escapes, and paint changes no word.
func TestScreensKeepTheirWidth(t *testing.T) {
	for name, draw := range screens {
		for _, columns := range []int{60, 80, 96, 120} {
			s := Screen{Width: columns}
			drawn := draw(s)
			for line := range strings.Lines(drawn) {
				line = strings.TrimSuffix(line, "\n")
				if width(line) > columns && name != "tap" && name != "faults" && columns >= 80 {
					t.Errorf("%s at %d: %d columns: %s", name, columns, width(line), line)
				}
				if line != say.Clean(line) || strings.HasSuffix(line, " ") {
					t.Errorf("%s: %q", name, line)
				}
			}
			s.Colour = true
			if painted := draw(s); strip(painted) != drawn {
				t.Errorf("%s with paint is\n%s", name, strip(painted))
			}
		}
	}
}

// strip takes our own paint away, and nothing else.
func strip(s string) string {
	for _, code := range append(sgr[1:], "0") {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	return s
}

func TestTimesAreLocal(t *testing.T) {
	s := Screen{Zone: time.FixedZone("", 3600)}
	if got := s.Links(someLinks()); !strings.Contains(got, "12:20") {
		t.Errorf("a link attached at 11:20 UTC:\n%s", got)
	}
	if got := s.Tapped(someTap()[0]); !strings.HasPrefix(got, "15:02:33.000") {
		t.Errorf("a stanza at 14:02:33 UTC:\n%s", got)
	}
}

func TestTopSorts(t *testing.T) {
	nodes := api.Nodes{Time: now, Nodes: []api.Node{
		{Domain: "none", QueueBytes: 1}, {Domain: "queue", QueueBytes: 2}, {Domain: "in", InPerSec: 2, OutPerSec: 1}, {Domain: "out", InPerSec: 1, OutPerSec: 2},
		{Domain: "sessions", Sessions: 1},
	}}
	for _, sort := range Sorts {
		lines := strings.Split(Screen{}.Top(someStatus(), nodes, sort, 0), "\n")
		if !strings.HasPrefix(lines[4], sort) {
			t.Errorf("by %s the first is %s", sort, lines[4])
		}
	}
}

func TestNagios(t *testing.T) {
	line, code := Nagios(someDoctor())
	if want := "PATCHBAY CRITICAL - hub1.im.example: node4.im.example is away: in 8 s its grace ends, then its 85,009 sessions end too (and 1 more) | failed=1 warning=1 ok=2\n"; line != want || code != 2 {
		t.Errorf("%d %s", code, line)
	}
	for _, c := range []struct {
		state, want string
		code        int
	}{
		{api.OK, "PATCHBAY OK - hub1.im.example: 2 checks | failed=0 warning=0 ok=2\n", 0},
		{api.Warning, "PATCHBAY WARNING - hub1.im.example: a / b\\n | failed=0 warning=1 ok=1\n", 1},
		{"tomorrow", "PATCHBAY UNKNOWN - the server says tomorrow\n", 3},
	} {
		checks := []api.Finding{{State: api.OK}, {State: c.state, Message: "a | b\n"}}
		if line, code := Nagios(api.Doctor{Server: hub, State: c.state, Checks: checks}); line != c.want || code != c.code {
			t.Errorf("%s: %d %s", c.state, code, line)
		}
	}
	if got := NagiosUnreached(&NotReachedError{URL: "http://a", Why: "x|y"}); got != "PATCHBAY UNKNOWN - no answer of a server at http://a: x/y\n" {
		t.Error(got)
	}
}
