package demo_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/demo"
	"github.com/patchbay-im/patchbay/internal/server"
)

// The whole play against a real server: each story is told once and its events come.
func TestStage(t *testing.T) {
	cfg, err := config.Development(config.Memory)
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
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	p, err := demo.Stage{Addr: s.ComponentAddr(), Secret: string(cfg.Nodes[0].Secret[0]),
		Pace: 50 * time.Millisecond, Interval: time.Hour, Drain: func(node string, on bool) error {
			if on {
				return s.Drain(node + ".im.example")
			}
			return s.Undrain(node + ".im.example")
		}}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, story := range []struct{ key, want string }{
		{"1", "node2 => node3"}, {"", `"where are you now?"`}, {"3", `grace  "are you there?"  service-unavailable, node3 told`},
		{"2", "node2 was cut off"}, {"", "node2 is back"}, {"4", "node1 is drained"}, {"", "is refused there and logs in here"}, {"", "node1 takes new users again"}, {"5", "node3 takes 20 ms"}, {"", "node3 is fast again"}, {"1", "node3 => node2"},
	} {
		if story.key != "" {
			p.Press(story.key)
		}
		await(t, p, story.want)
	}
	if shot := p.Snapshot(); !shot.Balanced() || shot.Sessions != 6 || shot.P50 <= 0 {
		t.Errorf("got %+v", shot)
	}
}

func await(t *testing.T, p *demo.Play, want string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-p.Events():
			line := demo.PlainLine(e)
			t.Log(line)
			if strings.Contains(line, want) {
				return
			}
		case <-limit:
			t.Fatalf("no %q", want)
		}
	}
}
