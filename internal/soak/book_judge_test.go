package soak

import "testing"

// TestBook lets the book look at lives of three messages from one member to another: what is wrong is told, and nothing else.
func TestBook(t *testing.T) {
	to := domainOf(names[proved])
	type come struct{ who, at int }
	for _, c := range []struct {
		name     string
		kept     bool // flushed; else only accepted
		killed   bool // before anything came
		spills   bool
		rests    int // so many arrivals are before a moment of quiet
		lapse    int // behind so many the grace of proved ends; 0: never
		crash    int // behind so many the process with the SDK is killed; 0: never
		came     []come
		answered []int
		resent   bool
		faults   int
		missing  int
	}{
		{name: "each once", came: []come{{proved, 0}, {proved, 1}, {proved, 2}}},
		{name: "one is lost", came: []come{{proved, 0}, {proved, 1}}, missing: 1},
		{name: "one is answered", came: []come{{proved, 0}, {proved, 2}}, answered: []int{1}},
		{name: "a kill may lose what was accepted", killed: true, came: []come{{proved, 0}}},
		{name: "but the end of it only", killed: true, came: []come{{proved, 0}, {proved, 2}}, faults: 1},
		{name: "where nothing spills", killed: true, spills: true, came: []come{{proved, 0}, {proved, 2}}},
		{name: "and nothing that was flushed", killed: true, kept: true, came: []come{{proved, 0}}, missing: 2},
		{name: "out of order", came: []come{{proved, 1}, {proved, 0}, {proved, 2}}, faults: 1},
		{name: "moved with its user, when another had it", came: []come{{written, 0}, {proved, 1}, {proved, 2}, {proved, 0}}},
		{name: "sent again by its sender", resent: true, came: []come{{proved, 0}, {proved, 1}, {proved, 2}, {proved, 1}, {proved, 2}}},
		{name: "again on one link", came: []come{{proved, 0}, {proved, 0}, {proved, 1}, {proved, 2}}, faults: 1},
		{name: "stored again behind what is newer", lapse: 1, came: []come{{proved, 0}, {proved, 1}, {proved, 2}, {proved, 0}}},
		{name: "but only what a node had", lapse: 1, came: []come{{proved, 0}, {proved, 2}, {proved, 1}}, faults: 1},
		{name: "again, though it was proved", rests: 3, resent: true, came: []come{{proved, 0}, {proved, 1}, {proved, 2}, {proved, 2}}, faults: 1},
		{name: "again, from one that proves nothing", rests: 4, resent: true, came: []come{{proved, 0}, {proved, 1}, {written, 2}, {proved, 2}, {proved, 2}}},
		{name: "again to an application of the SDK", resent: true, came: []come{{proved, 0}, {proved, 1}, {acked, 2}, {acked, 2}}, faults: 1},
		{name: "again to one whose process was killed", crash: 1, came: []come{{acked, 0}, {acked, 0}, {acked, 1}, {acked, 2}}},
		{name: "and moved with its user then", crash: 1, came: []come{{acked, 0}, {written, 0}, {acked, 1}, {acked, 0}, {acked, 2}}},
		{name: "and once more", crash: 1, came: []come{{acked, 0}, {acked, 0}, {acked, 1}, {acked, 2}, {acked, 2}}, faults: 2},
		{name: "though it was proved before", rests: 3, crash: 3, came: []come{{acked, 0}, {acked, 1}, {acked, 2}, {acked, 2}}, faults: 1},
		{name: "again to a node that proves nothing", rests: 3, resent: true, came: []come{{written, 0}, {written, 1}, {written, 2}, {written, 1}}},
	} {
		b, last, kills := newBook(c.spills), [3]map[*lane]int{{}, {}, {}}, 0
		var ids []string
		for range 3 {
			ids = append(ids, b.write(written, "message", to, 1, 0))
		}
		b.accepted(written, 1, 0, b.written(written))
		if c.kept {
			b.kept(written, 1, b.written(written))
		}
		if c.killed {
			kills++
		}
		for i, x := range c.came {
			b.came(x.who, arrival{ids[x.at], to, domainOf(names[written]), c.resent, b.life}, last[x.who])
			if i+1 == c.lapse {
				b.lapse(to)
			}
			if i+1 == c.crash {
				b.died()
				last[acked] = map[*lane]int{}
			}
			if i+1 == c.rests {
				b.settle(kills, func(string) bool { return false })
			}
		}
		for _, at := range c.answered {
			b.answered(written, ids[at], to, "service-unavailable", nil)
		}
		missing, _, _ := b.lacks(kills, func(string) bool { return false })
		b.settle(kills, func(string) bool { return false })
		if found := b.take(); len(found) != c.faults || missing != c.missing {
			t.Errorf("%s: %d missing, not %d; faults %q, not %d", c.name, missing, c.missing, found, c.faults)
		}
	}
}

// TestBookLives lets the book look at messages that the SDK has taken, and at a kill of it.
func TestBookLives(t *testing.T) {
	for _, c := range []struct {
		name                 string
		flushed, killed, new bool // new: a flush of the life after it
		missing              int
	}{
		{name: "it lives", missing: 2},
		{name: "it was killed", killed: true},
		{name: "it was killed, and had flushed", flushed: true, killed: true, missing: 2},
		{name: "it was killed, and flushes in its next life", killed: true, new: true},
	} {
		b, to := newBook(true), domainOf(names[proved])
		for range 2 {
			b.promised(b.write(acked, "message", to, 1, 0))
		}
		b.promised(b.writeGroup(acked, []string{"u0@" + stores + "/x"}, 1, 0))
		b.came(written, arrival{"g0", "u0@" + stores + "/x", domainOf(names[acked]), false, 0}, map[*lane]int{})
		if c.flushed {
			b.kept(acked, 1, b.written(acked))
		}
		if c.killed {
			b.died()
		}
		if c.new {
			b.kept(acked, 2, b.written(acked))
		}
		if missing, _, _ := b.lacks(0, func(string) bool { return false }); missing != c.missing || len(b.take()) > 0 {
			t.Errorf("%s: %d missing, not %d", c.name, missing, c.missing)
		}
	}
}

// TestTable lets the table of sessions look at statements.
func TestTable(t *testing.T) {
	const user = "u0@" + bounces + "/x"
	x := newTable()
	say := func(who int, there, answered bool) {
		x.end(x.begin(who, map[string]bool{user: there}), answered, nil)
	}
	may := func(what string, holders ...int) {
		t.Helper()
		for who := nobody; who <= written; who++ {
			ok := x.users[user].may[who]
			if want := len(holders) > 0 && (who == holders[0] || who == holders[len(holders)-1]); ok != want {
				t.Errorf("%s: %s may hold it: %v", what, nameOf(who), ok)
			}
		}
	}
	may("at first", nobody)
	say(proved, true, true)
	may("announced", proved)
	say(written, false, true)
	may("the withdraw of another", proved)
	say(written, true, false)
	may("not answered", proved, written)
	if x.hold(user, acked) == nil || x.hold(user, written) != nil {
		t.Error("who held it is not held against who may")
	}
	may("asked", written)
	a, b := x.begin(acked, map[string]bool{user: true}), x.begin(proved, map[string]bool{user: true})
	x.end(a, true, nil)
	x.end(b, true, nil)
	if x.hold(user, acked) != nil || x.hold(user, nobody) == nil {
		t.Error("of two at once either may hold it, and nobody may not")
	}
	say(acked, false, true)
	may("withdrawn", nobody)
}
