package soak

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestKills kills the server under load, again and again, at moments drawn from the seed: PATCHBAY_KILLS times, 5 unless it is
// set. After each nothing is missing that was flushed or that the SDK was told is kept, and no application of the SDK got
// anything twice.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("PATCHBAY_KILLS")); err == nil {
		rounds = n
	}
	t.Logf("seed %d, %d rounds", *seed, rounds)
	w, rng := newWorld(t), rand.New(rand.NewPCG(*seed, 0x9))
	for i, to := range targets[len(names):] {
		m := w.members[i%len(names)]
		if i%3 < 2 && i/3 != 2 { // not the bare ones; one user of the domain that bounces stays offline
			m.do(func() { m.says(to, true) })
		}
	}
	w.await(t, "the users", w.idle)
	for range rounds {
		w.storm(rng)
		pause(w.ctx, time.Duration(rng.IntN(250))*time.Millisecond)
		w.act(t, act{verb: "kill"})
		w.settle(t)
	}
	w.finish(t)
	w.report(t, rounds)
	if s := w.book.sums; s.flushes < rounds || s.came < 300*rounds {
		t.Errorf("%d flushes and %d stanzas are too few for a test", s.flushes, s.came)
	}
}

// storm has all members send for a while, to all addresses, and flush now and then.
func (w *world) storm(rng *rand.Rand) {
	for range 60 {
		a := act{verb: "send", who: rng.IntN(len(names)), whom: rng.IntN(len(targets)), count: 1 + rng.IntN(60), size: 20 + rng.IntN(400)}
		if rng.IntN(6) == 0 {
			a.verb = "flush"
		}
		w.begin(a)
	}
}
