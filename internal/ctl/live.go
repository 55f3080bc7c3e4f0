package ctl

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/patchbay-im/patchbay/internal/say"
)

// Live draws on a terminal, and draws again, until a person has seen enough.
type Live struct {
	In     io.Reader // keys
	Out    io.Writer // a terminal
	Every  time.Duration
	Screen Screen // its width is that of the terminal
	Foot   func() string
	Press  func(key string)                                                // a key other than q; may be nil
	Draw   func(ctx context.Context, s Screen, height int) (string, error) // asks and draws; height is the room there is
}

// Run draws until ctx ends or q is pressed, and leaves the last picture behind. A server that cannot be asked is told
// below the last picture: it may come back. It gives the error of the first time, when nothing has been drawn yet.
func (l Live) Run(ctx context.Context) error {
	first, err := l.Draw(ctx, l.Screen, 0)
	if err != nil {
		return err
	}
	m := watching{l: l, ctx: ctx, picture: first, width: l.Screen.Width, height: 24}
	last, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(l.In), tea.WithOutput(l.Out), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		err = nil // the end of ctx is the usual way out
	}
	if shown, ok := last.(watching); ok { // the alternate screen takes the picture away
		fmt.Fprint(l.Out, shown.picture)
	}
	return err
}

// watching is the screen for bubbletea.
type watching struct {
	l             Live
	ctx           context.Context
	width, height int
	picture       string
	err           error // of the last question
	asking        bool
}

type (
	tickMsg  struct{}
	drawnMsg struct {
		picture string
		err     error
	}
)

func (m watching) tick() tea.Cmd {
	return tea.Tick(m.l.Every, func(time.Time) tea.Msg { return tickMsg{} })
}

// footLines is what stands below the picture: an empty line and the foot.
const footLines = 2

// ask asks apart from the screen, which goes on taking keys.
func (m watching) ask() tea.Cmd {
	s := m.l.Screen
	s.Width = m.width
	ctx, height := m.ctx, max(1, m.height-footLines)
	return func() tea.Msg {
		picture, err := m.l.Draw(ctx, s, height)
		return drawnMsg{picture, err}
	}
}

// Init asks at once, for the first picture did not know the terminal's size.
func (m watching) Init() tea.Cmd { return tea.Batch(m.tick(), m.ask()) }

// Update takes a key, a new size, a tick of the clock or an answer.
func (m watching) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		if m.asking { // a slow server is not asked twice at a time
			return m, m.tick()
		}
		m.asking = true
		return m, tea.Batch(m.tick(), m.ask())
	case drawnMsg:
		m.asking, m.err = false, msg.err
		if msg.err == nil {
			m.picture = msg.picture
		}
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m, m.ask()
	case tea.KeyPressMsg:
		switch key := msg.String(); {
		case key == "q", key == "ctrl+c", key == "esc":
			return m, tea.Quit
		case m.l.Press != nil:
			m.l.Press(key)
			return m, m.ask()
		}
	}
	return m, nil
}

// View is the whole screen of the terminal.
func (m watching) View() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	return v
}

// draw gives the last picture and the foot, never more lines than there are.
func (m watching) draw() string {
	foot := m.l.Foot()
	if m.err != nil {
		foot = m.l.Screen.dress(say.Clean("!! "+m.err.Error()), bad)
	}
	lines := strings.Split(strings.TrimSuffix(m.picture, "\n"), "\n")
	if room := max(1, m.height-footLines); len(lines) > room {
		lines = append(lines[:room-1:room-1], "...")
	}
	for i, l := range lines {
		lines[i] = cut(l, m.width)
	}
	return strings.Join(lines, "\n") + "\n\n" + cut(foot, m.width)
}
