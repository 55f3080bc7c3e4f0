package admin

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/routing"
)

// meter is what a test counts, by hand.
type meter struct {
	at    time.Time
	total sample
	nodes map[string]nodeCounts
}

func newMeter() *meter {
	return &meter{at: time.Unix(1e9, 0), total: sample{reasons: make([]uint64, len(routing.Reasons()))}, nodes: map[string]nodeCounts{}}
}

// look copies what has been counted.
func (m *meter) look() counts {
	c := counts{sample: m.total, nodes: map[string]nodeCounts{}}
	c.at, c.reasons = m.at, append([]uint64{}, m.total.reasons...)
	for domain, n := range m.nodes {
		reasons := map[routing.Reason]uint64{}
		for why, count := range n.reasons {
			reasons[why] = count
		}
		c.nodes[domain] = nodeCounts{n.passage, reasons}
	}
	return c
}

// accept counts stanzas of a node, of which some ended undelivered.
func (m *meter) accept(domain string, n uint64, why routing.Reason, undone uint64) {
	m.total.accepted += n
	node := m.nodes[domain]
	if node.reasons == nil {
		node.reasons = map[routing.Reason]uint64{}
	}
	node.in += n
	node.reasons[why] += undone
	m.nodes[domain] = node
}

// TestSince: a count since a span ago, to a sample; a server that has not run for so long says how long.
func TestSince(t *testing.T) {
	m := newMeter()
	s := newSampler(m.look)
	if _, ago := s.since(time.Minute, m.at); ago != 0 {
		t.Errorf("before the first sample: %v", ago)
	}
	for range 1000 { // more than are kept: 83 min
		s.take()
		m.total.accepted += 50
		m.at = m.at.Add(samplePeriod)
	}
	for _, span := range []time.Duration{rateSpan, time.Minute, 5 * time.Minute, sampleSpan} {
		then, ago := s.since(span, m.at)
		if got := m.total.accepted - then.accepted; ago != span || got != uint64(span.Seconds()*10) {
			t.Errorf("%v: %d within %v", span, got, ago)
		}
		if r := perSecond(m.total.accepted, then.accepted, ago); r != 10 {
			t.Errorf("%v: %v/s", span, r)
		}
	}
	if len(s.ring) != samplesKept || len(s.wholes) != wholesKept {
		t.Errorf("%d samples, %d whole ones", len(s.ring), len(s.wholes))
	}
	fresh := newSampler(m.look)
	fresh.take()
	m.at = m.at.Add(7 * time.Second)
	if _, ago := fresh.since(time.Minute, m.at); ago != 7*time.Second || rounded(time.Minute, ago) != 7 {
		t.Errorf("after 7 s: %v", ago)
	}
	if got := rounded(5*time.Minute, 5*time.Minute+2*time.Second); got != 300 {
		t.Errorf("a span to a sample: %d", got)
	}
}

// TestRateNeedsTime: of less than a second no rate is made, and a count that begins anew makes none below 0.
func TestRateNeedsTime(t *testing.T) {
	if got := perSecond(100, 0, 900*time.Millisecond); got != 0 {
		t.Error(got)
	}
	if got := perSecond(10, 100, 10*time.Second); got != 1 {
		t.Error(got)
	}
}

// TestOfNode is held against a plain list of all that happened.
func TestOfNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type event struct {
			at   time.Time
			node string
			n    uint64
			lost uint64
		}
		m := newMeter()
		s := newSampler(m.look)
		s.take()
		var all []event
		steps := rapid.IntRange(1, 40).Draw(t, "samples")
		for range steps {
			m.at = m.at.Add(samplePeriod)
			for i := range rapid.IntRange(0, 3).Draw(t, "events") {
				e := event{m.at, fmt.Sprintf("node%d", i), rapid.Uint64Range(0, 9).Draw(t, "n"), rapid.Uint64Range(0, 3).Draw(t, "lost")}
				m.accept(e.node, e.n, routing.NoSession, e.lost)
				all = append(all, e)
			}
			s.take()
		}
		m.at = m.at.Add(time.Second)
		m.accept("node0", 5, routing.QueueFull, 2) // since the last sample
		all = append(all, event{m.at, "node0", 5, 0})
		span := time.Duration(rapid.IntRange(2, 60).Draw(t, "span")) * samplePeriod
		for node, n := range m.nodes {
			rose, ago := s.ofNode(node, n, span, m.at)
			want := [2]uint64{}
			for _, e := range all {
				if e.node == node && m.at.Sub(e.at) < ago {
					want[0], want[1] = want[0]+e.n, want[1]+e.lost
				}
			}
			if got := [2]uint64{rose[routing.None], rose[routing.NoSession]}; got != want {
				t.Fatalf("%s within %v: %v, want %v", node, ago, got, want)
			}
			if node == "node0" && rose[routing.QueueFull] != 2 {
				t.Fatalf("since the last sample: %v", rose)
			}
		}
	})
}

// TestStepsAreBounded: with more nodes than the ring has room for, memory does not grow, and the answer says of how long
// a span it is.
func TestStepsAreBounded(t *testing.T) {
	m := newMeter()
	s := newSampler(m.look)
	const nodes, rounds = 5000, 60
	for range rounds {
		for i := range nodes {
			m.accept(fmt.Sprint("node", i), 2, routing.NoSession, 1)
		}
		s.take()
		m.at = m.at.Add(samplePeriod)
	}
	if len(s.steps) != stepsKept || cap(s.steps) > 2*stepsKept {
		t.Errorf("%d steps, room for %d", len(s.steps), cap(s.steps))
	}
	rose, ago := s.ofNode("node7", m.nodes["node7"], sampleSpan, m.at)
	samples := uint64(ago / samplePeriod)
	if samples < stepsKept/nodes/2-2 || samples > rounds/2 || rose[routing.None] != 2*(samples-1) || rose[routing.NoSession] != samples-1 {
		t.Errorf("%v within %v", rose, ago)
	}
}

// TestSamplerRuns: it takes a sample at once and each 5 s, until it is told to end.
func TestSamplerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter()
		var taken atomic.Int32
		s := newSampler(func() counts { taken.Add(1); return m.look() })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.run(ctx); close(done) }()
		synctest.Wait()
		if taken.Load() != 1 {
			t.Errorf("at once: %d", taken.Load())
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if taken.Load() != 3 {
			t.Errorf("after 12 s: %d", taken.Load())
		}
		cancel()
		<-done
	})
}
