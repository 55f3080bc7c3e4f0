package storage

import (
	"fmt"
	"testing"
	"time"
)

// More node records than one transaction takes are written all the same: nodes that come and go leave many.
func TestManyNodeRecords(t *testing.T) {
	const nodes = 30_000
	now := time.Now()
	o := Options{Dir: t.TempDir(), Now: func() time.Time { return now }, OnFail: func(err error) { t.Error(err) }}
	s, err := OpenSessions(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		r, _, err := s.AttachNode(fmt.Sprintf("node-%08x.pods.example", i))
		if err != nil {
			t.Fatal(err)
		}
		s.ExpireNode(r.ID, r.Inc)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(forget + time.Hour)
	for _, left := range []int{nodes, 0} { // they leave the disk at the end of the load, and memory at the next open
		s, err := OpenSessions(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WaitLoaded(t.Context()); err != nil {
			t.Error(err)
		}
		if got := len(s.Nodes()); got != left {
			t.Errorf("%d nodes are known, want %d", got, left)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
