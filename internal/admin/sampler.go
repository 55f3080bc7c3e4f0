package admin

import (
	"context"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/routing"
)

// What is remembered. The account has one sample each 5 s for half an hour, about 200 KiB. Of each node the last samples
// are kept whole, for its rates; what came from it in a longer span is a ring of steps, of which a busy server with a
// thousand nodes makes thousands in a sample: the oldest give way, and the answer says how far back it reaches.
const (
	samplePeriod = 5 * time.Second
	sampleSpan   = 30 * time.Minute
	samplesKept  = int(sampleSpan/samplePeriod) + 1
	rateSpan     = 10 * time.Second // what a rate is the mean of
	wholesKept   = int(rateSpan/samplePeriod) + 1
	stepsKept    = 128 << 10 // 40 bytes each
)

// sample is what has been counted up to one moment.
type sample struct {
	at               time.Time
	accepted, untold uint64
	delivered        uint64   // proved, or written where nothing proves more
	undone           uint64   // bounced, dropped or expired
	reasons          []uint64 // in the order of routing.Reasons
}

// passage is what went in and out of a node up to one moment.
type passage struct{ in, out uint64 }

// whole is a sample of all nodes.
type whole struct {
	at    time.Time
	nodes map[string]passage
}

// step is by how much one count of one node rose in one sample.
type step struct {
	number uint64 // of the sample
	node   string
	why    routing.Reason // None: accepted from it
	n      uint64
}

// counts is one look at what the server counts.
type counts struct {
	sample
	nodes map[string]nodeCounts
}

type nodeCounts struct {
	passage
	reasons map[routing.Reason]uint64
}

// sampler remembers what was counted when, so that a count can be told since then.
type sampler struct {
	look func() counts // set once

	mu     sync.Mutex
	taken  uint64                // guarded by mu: samples ever taken; number n is at n % samplesKept
	ring   []sample              // guarded by mu
	wholes []whole               // guarded by mu: the last few, oldest first
	last   map[string]nodeCounts // guarded by mu: of the last sample
	steps  []step                // guarded by mu: a ring
	made   uint64                // guarded by mu: steps ever made
}

func newSampler(look func() counts) *sampler {
	return &sampler{look: look, last: map[string]nodeCounts{}}
}

// run takes samples until ctx ends.
func (m *sampler) run(ctx context.Context) {
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	for {
		m.take()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// take takes one sample.
func (m *sampler) take() {
	now := m.look()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ring) < samplesKept {
		m.ring = append(m.ring, now.sample)
	} else {
		m.ring[m.taken%uint64(samplesKept)] = now.sample
	}
	w := whole{now.at, make(map[string]passage, len(now.nodes))}
	for domain, n := range now.nodes {
		w.nodes[domain] = n.passage
		was := m.last[domain]
		m.note(domain, routing.None, rise(n.in, was.in))
		for why, count := range n.reasons {
			m.note(domain, why, rise(count, was.reasons[why]))
		}
	}
	if m.wholes = append(m.wholes, w); len(m.wholes) > wholesKept {
		m.wholes = m.wholes[1:]
	}
	m.last = now.nodes
	m.taken++
}

// note adds a step of the sample being taken. Called with mu held.
func (m *sampler) note(node string, why routing.Reason, n uint64) {
	if n == 0 {
		return
	}
	s := step{m.taken, node, why, n}
	if len(m.steps) < stepsKept {
		m.steps = append(m.steps, s)
	} else {
		m.steps[m.made%stepsKept] = s
	}
	m.made++
}

// nearest gives the number of the sample that is nearest to a moment, of those from first on. Called with mu held, when
// there is one.
func (m *sampler) nearest(at time.Time, first uint64) uint64 {
	best := m.taken - 1
	for n := m.taken; n > first; n-- {
		if m.sampleAt(n-1).at.Sub(at).Abs() <= m.sampleAt(best).at.Sub(at).Abs() {
			best = n - 1
		}
	}
	return best
}

// oldest is the number of the oldest sample that is kept. Called with mu held.
func (m *sampler) oldest() uint64 { return m.taken - uint64(len(m.ring)) }

func (m *sampler) sampleAt(number uint64) *sample { return &m.ring[number%uint64(samplesKept)] }

// since gives what had been counted a span ago, and how long ago that was: less than the span where the server has not run
// for that long.
func (m *sampler) since(span time.Duration, now time.Time) (then sample, ago time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken == 0 {
		return sample{at: now, reasons: make([]uint64, len(routing.Reasons()))}, 0
	}
	then = *m.sampleAt(m.nearest(now.Add(-span), m.oldest()))
	return then, now.Sub(then.at)
}

// ofNode gives what came from a node within a span, by reason (None: accepted), and how long the span is of which that
// is known. n is what the node has counted now.
func (m *sampler) ofNode(domain string, n nodeCounts, span time.Duration, now time.Time) (rose map[routing.Reason]uint64, ago time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.last[domain]
	rose = map[routing.Reason]uint64{routing.None: rise(n.in, was.in)}
	for why, count := range n.reasons {
		rose[why] = rise(count, was.reasons[why])
	}
	if m.taken == 0 {
		return rose, 0
	}
	first := m.oldest()
	if len(m.steps) == stepsKept { // of the sample of the oldest step some may be gone
		first = max(first, m.steps[m.made%stepsKept].number)
	}
	from := m.nearest(now.Add(-span), first)
	for _, s := range m.steps {
		if s.node == domain && s.number > from {
			rose[s.why] += s.n
		}
	}
	return rose, now.Sub(m.sampleAt(from).at)
}

// lately gives the nodes as they were about 10 s ago, and how long ago that was.
func (m *sampler) lately(now time.Time) (then map[string]passage, ago time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.wholes) == 0 {
		return nil, 0
	}
	w := m.wholes[0]
	return w.nodes, now.Sub(w.at)
}

// rise is by how much a count rose. One that fell was begun anew: a node was forgotten, and came back.
func rise(now, then uint64) uint64 {
	if now < then {
		return now
	}
	return now - then
}

// perSecond is a rise per second; 0 where the span is too short to tell.
func perSecond(now, then uint64, span time.Duration) float64 {
	if span < time.Second {
		return 0
	}
	return float64(rise(now, then)) / span.Seconds()
}

// rounded is a span as people asked for it, if it is that but for one sample.
func rounded(asked, known time.Duration) int64 {
	if (asked - known).Abs() <= samplePeriod {
		known = asked
	}
	return int64(known.Round(time.Second) / time.Second)
}
