package soak

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 3, "of the acts; 0: one that is drawn, and printed")
	lasts = flag.Duration("for", 5*time.Second, "how long new steps begin")
)

// TestSoak does the acts of a seed, step by step, for as long as it is told.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	if *seed == 0 {
		*seed = 1 + rand.Uint64N(1_000_000)
	}
	t.Logf("seed %d, for %v", *seed, *lasts)
	w, acts := newWorld(t), newScript(*seed)
	steps := 0
	for ; time.Since(w.begun) < *lasts; steps++ {
		for range actsEach {
			w.act(t, acts.next())
		}
		w.settle(t)
	}
	w.finish(t)
	w.report(t, steps)
}

// report tells what was done, and what came of it.
func (w *world) report(t *testing.T, steps int) {
	t.Helper()
	s := w.book.sums
	t.Logf("%v: %d steps, %d acts, %d faults of networks, %d starts of the server, %d of them after kill -9", time.Since(w.begun).Round(time.Second), steps,
		len(w.acts), w.drops, w.starts, w.kills.Load())
	t.Logf("%d jumps of its clock, %d times its disk was full (%d stanzas went back for that), %d kill -9 of the process with the SDK", w.jumps, w.full, s.constrained, w.crashed)
	t.Logf("%d stanzas sent, %d came, %d were answered with an error; %d requests answered; %d flushes", s.sent, s.came, s.bounced, s.answers, s.flushes)
	t.Logf("came again: %d to acked, %d to proved, %d to written; %d came and were answered too; %d were lost that nobody had promised to keep",
		s.again[acked], s.again[proved], s.again[written], s.both, s.unsure)
}

// TestScript sees that the acts are a function of the seed, and that all are drawn.
func TestScript(t *testing.T) {
	a, b, drawn := newScript(1), newScript(1), map[string]bool{}
	differ := 0
	for other := newScript(2); len(drawn) < len(weights) || differ < 100; {
		x, y := a.next(), b.next()
		if x != y {
			t.Fatalf("one seed gives %v, and %v", x, y)
		}
		if x != other.next() {
			differ++
		}
		drawn[x.verb] = true
	}
}
