package soak

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// act is one thing to be done. It is drawn without a look at what has happened, so that a seed gives the same acts each time;
// one that cannot be done now has no effect.
type act struct {
	verb  string
	who   int           // of members
	whom  int           // of targets
	count int           // of messages
	size  int           // of each body, in bytes
	lasts time.Duration // of a fault
	pause time.Duration // before the next act
}

func (a act) String() string {
	return fmt.Sprintf("%s %s to %s, %d of %d bytes, for %v, then %v", names[a.who], a.verb, targets[a.whom], a.count, a.size, a.lasts, a.pause)
}

// The members, by grade; user domains, and their users, with two resources each.
var (
	names   = []string{"acked", "proved", "written"}
	domains = []string{bounces, stores}
	targets = addressesOf()
)

const (
	acked, proved, written = 0, 1, 2

	hub     = "hub1.im.example"
	bounces = "im.example" // a message for a user without a session goes back
	stores  = "st.example" // it is stored

	usersEach = 3 // of a domain
	actsEach  = 24

	seldom = 3 + 2*3*usersEach - 1 // of targets: the bare address of one who has a session now and then, and is stored for
)

// addressesOf gives all addresses that messages go to: nodes first, then full and bare addresses of users by turns.
func addressesOf() (all []string) {
	for _, name := range names {
		all = append(all, domainOf(name))
	}
	for _, domain := range domains {
		for i := range usersEach {
			bare := fmt.Sprintf("u%d@%s", i, domain)
			all = append(all, bare+"/x", bare+"/y", bare)
		}
	}
	return all
}

func domainOf(name string) string { return name + ".im.example" }

// weights says how often an act is drawn.
var weights = []struct {
	verb string
	n    int
}{
	{"send", 40}, {"burst", 4}, {"group", 6}, {"presence", 8}, {"ask", 10}, {"flush", 8},
	{"announce", 24}, {"withdraw", 9},
	{"reset", 5}, {"half-open", 3}, {"stall", 4}, {"drip", 2}, {"delay", 3}, {"partition", 3}, {"die", 4},
	{"kill", 2}, {"restart", 1}, {"jump", 3}, {"full", 2}, {"crash", 2},
}

// script draws the acts of a seed, one after the other.
type script struct {
	rng *rand.Rand
	sum int
}

func newScript(seed uint64) *script {
	s := &script{rng: rand.New(rand.NewPCG(seed, 0x50a4))}
	for _, w := range weights {
		s.sum += w.n
	}
	return s
}

func (s *script) next() act {
	n := s.rng.IntN(s.sum)
	i := 0
	for ; n >= weights[i].n; i++ {
		n -= weights[i].n
	}
	a := act{verb: weights[i].verb, who: s.rng.IntN(len(names)), whom: s.rng.IntN(len(targets)), count: 1 + s.rng.IntN(40),
		size: 20 + s.rng.IntN(600), lasts: time.Duration(20+s.rng.IntN(600)) * time.Millisecond, pause: time.Duration(s.rng.IntN(25)) * time.Millisecond}
	switch long := s.rng.IntN(25) == 0; {
	case a.verb == "burst": // to one whose window is not the only thing that keeps it
		a.whom, a.count, a.size = s.rng.IntN(written), 300, 200+s.rng.IntN(1500)
	case a.verb == "presence" || a.verb == "ask":
		a.whom = s.rng.IntN(len(names))
	case (a.verb == "announce" || a.verb == "withdraw" || a.verb == "group"):
		a.whom = len(names) + 3*s.rng.IntN(len(domains)*usersEach) + s.rng.IntN(2)
		if a.verb == "announce" && a.whom > seldom-3 && s.rng.IntN(8) > 0 {
			a.verb = "withdraw"
		}
	case long && (a.verb == "die" || a.verb == "partition" || a.verb == "crash"):
		a.lasts = grace + 500*time.Millisecond // what waits is decided again
	}
	return a
}
