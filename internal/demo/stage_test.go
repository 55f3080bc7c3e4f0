package demo_test

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/demo"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
)

// The whole play against a real server: each story is told once and its events come.
func TestStage(t *testing.T) {
	s, secret := serve(t)
	p, err := demo.Stage{Addr: s.ComponentAddr(), Secret: secret,
		Pace: 50 * time.Millisecond, Interval: time.Hour, Waits: func(node string) int {
			q := s.Router().Node(node + ".im.example").Queue()
			return int(q.Waiting + q.Unproved)
		}, Drain: func(node string, on bool) error {
			if on {
				return s.Drain(node + ".im.example")
			}
			return s.Undrain(node + ".im.example")
		}}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	kept := 0
	for _, story := range []struct{ key, want string }{
		{"1", "node2 => node3"}, {"", `"where are you now?"`}, {"3", `grace  "are you there?"  service-unavailable, node3 told`},
		{"2", "node2 was cut off"}, {"", "node2 is back: "}, {"4", "node1 is drained"}, {"", "is refused there and logs in here"}, {"", "node1 takes new users again"}, {"5", "node3 takes 20 ms"}, {"", "node3 is fast again"}, {"1", "node3 => node2"},
	} {
		if story.key != "" {
			p.Press(story.key)
		}
		line := await(t, p, story.want)
		if m := cut.FindStringSubmatch(line); m != nil {
			if kept, _ = strconv.Atoi(m[1]); kept < 20 {
				t.Errorf("%d stanzas wait", kept)
			}
		}
		if m := back.FindStringSubmatch(line); m != nil {
			came, _ := strconv.Atoi(m[1])
			if had, _ := strconv.Atoi(m[3]); m[1] != m[2] || came+had != kept || came == 0 {
				t.Errorf("%d waited, and then: %s", kept, line)
			}
		}
	}
	for node, want := range map[string]routing.Grade{"node1": routing.GradeProved, "node2": routing.GradeAcked, "node3": routing.GradeAcked} {
		if got := s.Router().Node(node + ".im.example").Grade(); got != want {
			t.Errorf("%s is %s", node, got)
		}
	}
	if shot := p.Snapshot(); !shot.Balanced() || shot.Sessions != 6 || shot.P50 <= 0 {
		t.Errorf("got %+v", shot)
	}
}

// serve starts a server, and gives the secret of its nodes.
func serve(t *testing.T) (*server.Server, string) {
	t.Helper()
	cfg, err := config.Development(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"listen.component": "127.0.0.1:0", "listen.http": "127.0.0.1:0"} {
		if bad := cfg.Set(key, value); bad != nil {
			t.Fatal(bad)
		}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := server.New(cfg, server.Options{Version: "test", Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s, string(cfg.Nodes[0].Secret[0])
}

var (
	cut  = regexp.MustCompile(`node2 was cut off on purpose, (\d+) stanzas in its outbox \.\.\.`)
	back = regexp.MustCompile(`node2 is back: (\d+) of (\d+) redelivered, in order(?: \((\d+) were read\))?  0 lost$`)
)

// await gives the first event with a text.
func await(t *testing.T, p *demo.Play, want string) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-p.Events():
			line := demo.PlainLine(e)
			t.Log(line)
			if strings.Contains(line, want) {
				return line
			}
		case <-limit:
			t.Fatalf("no %q", want)
		}
	}
}
