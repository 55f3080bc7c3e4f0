package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"
)

const redraw = time.Second / 4

// Away is the grade of a node that is cut off.
const Away = "away"

// Options say where a view is drawn.
type Options struct {
	In    io.Reader // keys
	Out   io.Writer
	Plain bool // one line per event, no escapes; so it is too where Out is no terminal
}

// Run shows src until ctx ends or q is pressed.
func Run(ctx context.Context, src Source, opt Options) error {
	f, ok := opt.Out.(*os.File)
	if opt.Plain || !ok || !term.IsTerminal(int(f.Fd())) {
		return runPlain(ctx, src, opt.Out)
	}
	colour := os.Getenv("NO_COLOR") == ""
	m := model{src: src, colour: colour, width: 80, height: 24, now: src.Snapshot()}
	last, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(opt.In), tea.WithOutput(opt.Out),
		tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		err = nil // the end of ctx is the usual way out
	}
	// The alternate screen takes the picture away: leave the last one behind.
	if shown, ok := last.(model); ok {
		shown.now = src.Snapshot()
		fmt.Fprintln(opt.Out, shown.draw())
	}
	return err
}

// runPlain prints events as they come, and the ledger at the end.
func runPlain(ctx context.Context, src Source, w io.Writer) error {
	events := src.Events()
	for {
		select {
		case e := <-events:
			if _, err := fmt.Fprintln(w, PlainLine(e)); err != nil {
				return fmt.Errorf("print an event: %w", err)
			}
		case <-ctx.Done():
			s := src.Snapshot()
			s.Keys, s.Attach = nil, ""
			_, err := fmt.Fprintln(w, strings.Join(footer(s, 1<<10, newPalette(false)), "\n"))
			return err
		}
	}
}

// PlainLine writes an event as one line without escapes.
func PlainLine(e Event) string {
	p := newPalette(false)
	words := []string{e.Time.Format("15:04:05.000"), ""}
	switch e.Kind {
	case Note:
		words[1] = clean(e.Note)
	case Moved:
		words[1] = fmt.Sprintf("%s  %s => %s  %s", clean(e.From), e.FromNode, e.ToNode, clean(e.Note))
	default:
		words[1] = fmt.Sprintf("%s  %s -> %s  %s  %s", clean(e.From), e.FromNode, e.ToNode, clean(e.To), said(e, p))
	}
	if e.Latency > 0 {
		words = append(words, millis(e.Latency))
	}
	if e.Outcome != "" {
		words = append(words, clean(e.Outcome))
	}
	return strings.Join(words, "  ")
}

// model is the screen for bubbletea.
type model struct {
	src           Source
	colour        bool
	width, height int
	now           Snapshot
}

type tick struct{}

func nextTick() tea.Cmd { return tea.Tick(redraw, func(time.Time) tea.Msg { return tick{} }) }

// Init starts the clock.
func (m model) Init() tea.Cmd { return nextTick() }

// Update takes a key, a new size, or a tick of the clock.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		m.now = m.src.Snapshot()
		return m, nextTick()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch key := msg.String(); key {
		case "q", "ctrl+c", "esc":
			return m, tea.Quit
		default:
			m.src.Press(key)
		}
	}
	return m, nil
}

// View is the whole screen of the terminal.
func (m model) View() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	return v
}

// draw draws the last snapshot.
func (m model) draw() string { return Render(m.now, m.width, m.height, m.colour) }
