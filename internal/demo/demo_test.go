package demo

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample() Snapshot {
	at := time.Date(2026, 11, 22, 14, 7, 31, 204e6, time.UTC)
	return Snapshot{
		Server: "hub1.im.example", Up: 14 * time.Second, Component: "127.0.0.1:5347", HTTP: "http://127.0.0.1:5280",
		Nodes: []NodeView{
			{"node1 (Go)", []string{"alice/phone", "dora/web"}, 4412, 4398, "proved", false},
			{"node2 (Go)", []string{"bob/laptop"}, 4405, 4411, Away, false},
			{"node3 (Go)", []string{"carol/tablet", "frank/web", "erin/phone"}, 4401, 4409, "acked", true},
		},
		Sessions: 6, Rate: 1217.6, P50: 90 * time.Microsecond, P99: 310 * time.Microsecond,
		Accepted: 17212, Ends: []Count{{"delivered", 17148}, {"written", 0}, {"bounced", 63}, {"in outbox", 1}},
		Events: []Event{
			{Time: at, From: "alice/phone", To: "bob/laptop", FromNode: "node1", ToNode: "node2", Body: "lunch at one?", Latency: 210 * time.Microsecond, Outcome: "acked"},
			{Time: at.Add(173 * time.Millisecond), From: "bob/laptop", To: "alice/phone", FromNode: "node2", ToNode: "node1", Body: "the usual place, or the new one at the corner that everybody speaks of?", Latency: 1180 * time.Microsecond, Outcome: "proved"},
			{Time: at.Add(806 * time.Millisecond), Kind: Moved, From: "erin/phone", FromNode: "node2", ToNode: "node3", Note: "has moved; the next message follows her"},
			{Time: at.Add(1212 * time.Millisecond), Kind: Bounced, From: "carol/tablet", To: "grace", FromNode: "node3", ToNode: "-", Body: "are you there?", Note: "no session, node3 told", Outcome: "bounced"},
			{Time: at.Add(1300 * time.Millisecond), From: "hostile\x1b[2J/a-very-long-resource", To: "世界/phone", FromNode: "node3", ToNode: "node1", Body: "\x1b]0;title\x07 \u202e 世界世界", Latency: 3 * time.Second, Outcome: "proved"},
			{Time: at.Add(1886 * time.Millisecond), Kind: Note, Note: "node2 was cut off on purpose, 61 stanzas in its outbox ..."},
			{Time: at.Add(2747 * time.Millisecond), Kind: Note, Note: "node2 is back: 61 of 61 redelivered, in order", Outcome: "0 lost"},
		},
		Keys:   []Key{{"1", "move a user"}, {"2", "cut a node"}, {"3", "to an offline user"}, {"4", "drain node1"}, {"5", "slow node"}, {"q", "quit"}},
		Attach: "patchbay node me.im.example --secret demo-8f3c1d0a2b64e7f9",
	}
}

func TestRenderGolden(t *testing.T) {
	tests := []struct{ width, height int }{{60, 30}, {80, 24}, {100, 24}, {120, 24}, {80, 16}}
	for _, tt := range tests {
		name := fmt.Sprintf("%dx%d", tt.width, tt.height)
		t.Run(name, func(t *testing.T) {
			got := Render(sample(), tt.width, tt.height, false) + "\n"
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (-update, then look at it):\n%s", file, got)
			}
		})
	}
}

// No size makes a line too long or too many, and colour changes nothing but colour.
func TestRenderFits(t *testing.T) {
	for width := 1; width <= 140; width++ {
		for _, height := range []int{1, 5, 12, 24, 60} {
			plain, coloured := Render(sample(), width, height, false), Render(sample(), width, height, true)
			lines := strings.Split(plain, "\n")
			if len(lines) > height {
				t.Fatalf("%dx%d: %d lines", width, height, len(lines))
			}
			for _, l := range lines {
				if ansi.StringWidth(l) > width || strings.ContainsAny(l, "\x1b\x07\r\u202e") {
					t.Fatalf("%dx%d: bad line %q", width, height, l)
				}
			}
			if stripped(coloured) != plain {
				t.Fatalf("%dx%d: colour changes the text:\n%s\n%s", width, height, stripped(coloured), plain)
			}
		}
	}
	if !strings.Contains(Render(sample(), 80, 24, true), "\x1b[") {
		t.Error("no colour where colour was asked for")
	}
}

func stripped(s string) string {
	lines := strings.Split(ansi.Strip(s), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

func TestRenderEmpty(t *testing.T) {
	Render(Snapshot{}, 80, 24, true)
	s := sample()
	s.Accepted++
	if got := Render(s, 100, 24, false); !strings.Contains(got, "the ledger does not add up") {
		t.Errorf("got %s", got)
	}
}

// stillSource is a Source that a test moves.
type stillSource struct {
	events  chan Event
	pressed []string
}

func (s *stillSource) Snapshot() Snapshot   { return sample() }
func (s *stillSource) Events() <-chan Event { return s.events }
func (s *stillSource) Press(key string)     { s.pressed = append(s.pressed, key) }

func TestRunPlain(t *testing.T) {
	src := &stillSource{events: make(chan Event)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for _, e := range sample().Events {
			src.events <- e
		}
		cancel()
	}()
	var out bytes.Buffer
	if err := Run(ctx, src, Options{Out: &out}); err != nil {
		t.Fatal(err)
	}
	want := `14:07:31.204  alice/phone  node1 -> node2  bob/laptop  "lunch at one?"  0.21 ms  acked` + "\n"
	if !strings.HasPrefix(out.String(), want) || strings.ContainsAny(out.String(), "\x1b\u202e") ||
		!strings.HasSuffix(out.String(), "in outbox 1   every stanza accounted for\n") {
		t.Errorf("got %q", out.String())
	}
}

func TestModel(t *testing.T) {
	src := &stillSource{}
	var m tea.Model = model{src: src, width: 80, height: 24}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 100, Height: 24})
	m, _ = m.Update(tick{})
	if got, want := m.View().Content, Render(sample(), 100, 24, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m, _ = m.Update(tea.KeyPressMsg{Code: '2', Text: "2"})
	if len(src.pressed) != 1 || src.pressed[0] != "2" {
		t.Errorf("pressed %q", src.pressed)
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil || cmd() != tea.Quit() {
		t.Error("q does not quit")
	}
}
