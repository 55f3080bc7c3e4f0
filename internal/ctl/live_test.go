package ctl

import (
	"context"
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// TestWatching plays what a terminal sends: it never draws more than there is room for, and keeps its picture while the
// server cannot be asked.
func TestWatching(t *testing.T) {
	drawn, fails := 0, error(nil)
	var sizes []int
	l := Live{Every: 1, Foot: func() string { return "[q] quit" }, Press: func(string) {},
		Draw: func(_ context.Context, s Screen, height int) (string, error) {
			drawn++
			sizes = append(sizes, s.Width, height)
			return strings.Repeat("a line that is longer than the screen\n", 9), fails
		}}
	var m tea.Model = watching{l: l, ctx: t.Context(), width: 80, height: 24}
	step := func(msg tea.Msg) tea.Cmd {
		var cmd tea.Cmd
		m, cmd = m.Update(msg)
		return cmd
	}
	step(step(tea.WindowSizeMsg{Width: 20, Height: 8})())
	if want := strings.Repeat("a line that is long…\n", 5) + "...\n\n[q] quit"; m.View().Content != want {
		t.Errorf("it shows\n%s", m.View().Content)
	}
	if sizes[0] != 20 || sizes[1] != 6 {
		t.Errorf("it is asked to draw %v", sizes)
	}
	fails = errors.New("nobody \x1b listens")
	step(step(tea.KeyPressMsg{Code: 's', Text: "s"})())
	if got := m.View().Content; !strings.HasPrefix(got, "a line") || !strings.HasSuffix(got, `!! nobody \x1b list…`) {
		t.Errorf("it shows\n%s", got)
	}
	if step(tickMsg{}); !m.(watching).asking {
		t.Error("a tick does not ask")
	}
	asked := drawn
	step(tickMsg{})
	if drawn != asked {
		t.Error("it asks while it is asking")
	}
	fails = nil
	step(drawnMsg{picture: "good\n"})
	if m.View().Content != "good\n\n[q] quit" {
		t.Errorf("it shows\n%s", m.View().Content)
	}
	if cmd := step(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}); cmd == nil || cmd() != tea.Quit() {
		t.Error("Ctrl-C does not end it")
	}
	if err := (Live{Draw: func(context.Context, Screen, int) (string, error) { return "", errors.ErrUnsupported }}).Run(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a first question without an answer: %v", err)
	}
}
