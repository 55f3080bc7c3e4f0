package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of 80 columns: what a person has, and what the command has of it.
func terminal(t *testing.T) (person, command *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err) // a sandbox without terminals
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Close() })
	return person, command
}

// onTerminal runs the command on a terminal and gives what a person sees, and the exit code once it has ended.
func onTerminal(t *testing.T, args ...string) (shown *screen, person *os.File, code chan int) {
	t.Helper()
	person, command := terminal(t)
	shown, code = newScreen(), make(chan int, 1)
	go func() { _, _ = io.Copy(shown, person) }() // until the terminal is closed
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(command)
	root.SetOut(command)
	root.SetErr(command)
	root.SetContext(t.Context())
	go func() { code <- run(root) }()
	return shown, person, code
}

func ends(t *testing.T, code chan int, shown *screen, want int) {
	t.Helper()
	select {
	case got := <-code:
		if got != want {
			t.Errorf("exit %d, want %d:\n%s", got, want, shown)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end:\n%q", shown)
	}
}

// TestActsAsk: only a yes changes anything.
func TestActsAsk(t *testing.T) {
	f := serveFixed(t, fixedAnswers())
	for _, c := range []struct {
		args, question, says string
		code                 int
		changes              bool
	}{
		{"ctl drain node1.im.example --timeout 0", "drain node1.im.example (182,401 sessions)? [y/N] ", "y\n", 0, true},
		{"ctl drain --server", "drain the server hub1.im.example (7 sessions)? [y/N] ", "n\n", 1, false},
		{"ctl undrain node1.im.example", "undrain node1.im.example? [y/N] ", "YES\n", 0, true},
		{"ctl kick bob@im.example", "kick bob@im.example (2 sessions)? [y/N] ", "\n", 1, false},
		{"ctl kick bob@im.example/web", "kick bob@im.example/web? [y/N] ", "yes\n", 0, true},
		{"ctl kick node1.im.example/7", "kick node1.im.example/7 (182,401 sessions)? [y/N] ", "yo\n", 1, false},
		{"ctl reload", "apply the configuration file to the server at " + f.url + "? [y/N] ", "\x04", 1, false},
	} {
		t.Run(c.args, func(t *testing.T) {
			f.got()
			shown, person, code := onTerminal(t, strings.Fields(c.args)...)
			shown.waitFor(t, c.question)
			if _, err := person.WriteString(c.says); err != nil {
				t.Fatal(err)
			}
			ends(t, code, shown, c.code)
			if asked := f.got(); strings.Contains(asked, "POST") != c.changes {
				t.Errorf("asked %s", asked)
			}
			if !c.changes {
				shown.waitFor(t, "nothing was changed")
			}
		})
	}
}

// TestWatchOnTerminal draws until q, sorts at s, and leaves the last picture behind.
func TestWatchOnTerminal(t *testing.T) {
	serveFixed(t, fixedAnswers())
	t.Setenv("TERM", "xterm-256color")
	for _, c := range []struct{ args, shows, key, then string }{
		{"ctl nodes --watch", "[q] quit", "", ""},
		{"ctl top", "now by queue", "s", "Hin "}, // only what differs is drawn: the word at its place
	} {
		t.Run(c.args, func(t *testing.T) {
			shown, person, code := onTerminal(t, strings.Fields(c.args)...)
			shown.waitFor(t, c.shows, "182,401")
			if _, err := person.WriteString(c.key); err != nil {
				t.Fatal(err)
			}
			shown.waitFor(t, c.then)
			if _, err := person.WriteString("q"); err != nil {
				t.Fatal(err)
			}
			ends(t, code, shown, 0)
			for after := ""; !strings.Contains(after, "182,401"); _, after, _ = strings.Cut(shown.String(), "\x1b[?1049l") {
				select {
				case <-shown.more: // what was written last is still on its way
				case <-time.After(10 * time.Second):
					t.Fatalf("nothing is left behind: %q", after)
				}
			}
		})
	}
}

// TestColourOnTerminal: colour is for terminals whose owner has not asked for none.
func TestColourOnTerminal(t *testing.T) {
	serveFixed(t, fixedAnswers())
	for value, want := range map[string]bool{"": true, "1": false} {
		t.Setenv("NO_COLOR", value)
		shown, _, code := onTerminal(t, "ctl", "status")
		ends(t, code, shown, 0)
		shown.waitFor(t, "every stanza is accounted for")
		if strings.Contains(shown.String(), "\x1b[31mFAILED") != want {
			t.Errorf("NO_COLOR=%s: %q", value, shown)
		}
	}
	if got := invoke(t, "ctl", "status"); strings.Contains(got.out, "\x1b") {
		t.Errorf("a pipe gets colour: %q", got.out)
	}
}

// TestDrainTells how far it is on one line of a terminal, and takes it away.
func TestDrainTells(t *testing.T) {
	serveFixed(t, fixedAnswers())
	shown, _, code := onTerminal(t, "ctl", "drain", "node1.im.example", "--yes")
	ends(t, code, shown, 0)
	shown.waitFor(t, "\r\x1b[Knode1.im.example is draining   9 sessions", "\r\x1b[K\x1b[1mnode1.im.example")
}

// closing ends ctx after some lines.
type closing struct {
	text  bytes.Buffer
	lines int
	end   context.CancelFunc
}

func (c *closing) Write(p []byte) (int, error) {
	if c.lines -= bytes.Count(p, []byte("\n")); c.lines <= 0 {
		c.end()
	}
	return c.text.Write(p)
}

// TestWatchIntoPipe writes a line of JSON per second, top whole tables.
func TestWatchIntoPipe(t *testing.T) {
	serveFixed(t, fixedAnswers())
	for _, c := range []struct {
		args  string
		lines int
		each  string
	}{
		{"ctl nodes --watch", 2, `{"server":"","time":"2026-11-22T12:00:00Z","nodes":[{"domain":"node1.im.example"`},
		{"ctl top -o json", 2, `{"status":{"server":"hub1.im.example"`},
		{"ctl top", 12, "hub1.im.example   FAILED"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &closing{lines: c.lines, end: cancel}
		root := newRoot()
		root.SetArgs(strings.Fields(c.args))
		root.SetOut(out)
		root.SetContext(ctx)
		if code := run(root); code != 0 || strings.Count(out.text.String(), c.each) != 2 {
			t.Errorf("%s: exit %d\n%s", c.args, code, &out.text)
		}
		cancel()
	}
}

// TestConformanceOnTerminal counts by section, and then sums up.
func TestConformanceOnTerminal(t *testing.T) {
	addr, secret := nodeServer(t)
	t.Setenv("JUDGED", secret)
	shown, _, code := onTerminal(t, "conformance", "--addr", addr, "--node", "a.im.example=env:JUDGED", "--node", "b.im.example=env:JUDGED", "--only", "C19-charref-cr")
	ends(t, code, shown, 0)
	shown.waitFor(t, "\r  C Closing and errors  "+strings.Repeat("█", 20)+"  1/1\x1b[K", "MUST 1/1", "conforms")
}
