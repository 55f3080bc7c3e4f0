package storage

import (
	"fmt"
	"testing"
	"time"
)

func TestEachOfNode(t *testing.T) {
	s := open(t, Memory)
	l, other := attach(t, s, "node1"), attach(t, s, "node2")
	b := s.Begin(l.node, l.inc, l.mark)
	for i := range 50 {
		if _, _, err := b.Announce(fmt.Appendf(nil, "user%d@im.example", i), []byte("x"), 3, Take); err != nil {
			t.Fatal(err)
		}
	}
	b.sync(t)
	if _, _, err := other.say(t, "alice@im.example/x", 0, Take); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ limit, stop, want int }{{0, 0, 50}, {7, 0, 7}, {50, 0, 50}, {99, 0, 50}, {0, 5, 5}}
	for _, c := range cases {
		seen := map[string]bool{}
		s.EachOfNode(l.node, c.limit, func(x Session) bool {
			seen[x.JID] = true
			if x.Node != l.node || x.Inc != l.inc || x.Priority != 3 || x.Version == 0 {
				t.Errorf("%+v", x)
			}
			return len(seen) != c.stop
		})
		if len(seen) != c.want {
			t.Errorf("limit %d, stop at %d: %d sessions, want %d", c.limit, c.stop, len(seen), c.want)
		}
	}
}

// TestForget: a node that is gone for a week leaves the disk at the next open, and is forgotten at the one after
// it. One for less is not. Its number may be given again.
func TestForget(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1.7e9, 0)
	reopen := func() *Sessions {
		s, err := OpenSessions(Options{Dir: dir, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := reopen()
	kept, gone := attach(t, s, "node1"), attach(t, s, "node2")
	if _, _, err := gone.say(t, "a@im.example/x", 0, Take); err != nil {
		t.Fatal(err)
	}
	s.ExpireNode(gone.node, gone.inc)
	finish(t, s)
	now = now.Add(forget - time.Second)
	s = reopen()
	if r, ok := s.NodeByDomain("node2"); !ok || r.State != Gone {
		t.Errorf("before the week is over: %+v", r)
	}
	finish(t, s)
	now = now.Add(time.Second)
	finish(t, reopen())
	s = reopen()
	if r, ok := s.NodeByDomain("node2"); ok {
		t.Errorf("after a week: %+v", r)
	}
	if r, ok := s.Node(kept.node); !ok || r.Domain != "node1" {
		t.Errorf("the other node: %+v", r)
	}
	next := attach(t, s, "node3")
	if r, _ := s.Node(next.node); r.Domain != "node3" || len(found(s, "a@im.example")) != 0 {
		t.Errorf("new node: %+v", r)
	}
	finish(t, s)
}
