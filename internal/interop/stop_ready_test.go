package interop

import (
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// ready asks /readyz: 200, 503, or 0 if nobody answers any more.
func (s *server) ready(t *testing.T) int {
	t.Helper()
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.find(t, httpListens) + "/readyz")
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestStopReady stops the server under load. It is not ready before the first node can see the stop, and not again.
func TestStopReady(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	a, stuck := attachParty(t, s, "a"), attachParty(t, s, "stuck")
	a.announce(t)
	stuck.announce(t)
	stuck.mu.Lock() // its reader waits from its next stanza on: the stop takes a moment
	l := &load{a, []string{stuck.user()}, strings.Repeat("s", 16<<10)}
	go l.talk(1e9)
	if code := s.ready(t); code != 200 {
		t.Errorf("readyz is %d", code)
	}
	s.terminate(t)
	farewell(t, a)
	if code := s.ready(t); code == 200 {
		t.Error("a node was told of the stop, and the server is ready")
	}
	for code := 503; code != 0; code = s.ready(t) {
		if code != 503 {
			t.Errorf("readyz is %d", code)
		}
	}
	stuck.mu.Unlock()
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestStopTwice stops the server while a node takes nothing, for which it waits a second, and then at once.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "timers.drain=1h")
	a, stuck := attachParty(t, s, "a"), attachParty(t, s, "stuck")
	a.announce(t)
	stuck.announce(t)
	stuck.mu.Lock()
	defer stuck.mu.Unlock()
	l := &load{a, []string{stuck.user()}, strings.Repeat("s", 16<<10)}
	l.talk(200)
	a.ask(t, "get", "<ping xmlns='urn:xmpp:ping'/>")
	s.terminate(t)
	s.find(t, regexp.MustCompile("stopping"))
	s.terminate(t)
	s.wait(t)
	if how := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !how.Signaled() || how.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", s.cmd.ProcessState)
	}
}
