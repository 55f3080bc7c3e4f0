package metrics

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/routing"
)

// TestRoll: which nodes have series of their own.
func TestRoll(t *testing.T) {
	now := time.Now()
	node := func(domain string, state routing.NodeState, since time.Duration, sessions int) fact {
		return fact{NodeFacts: routing.NodeFacts{Domain: domain, State: state, Since: now.Add(-since), Sessions: sessions, In: 10}}
	}
	r := newRoll()
	r.most = 2
	exact := node("exact", routing.Past, 30*24*time.Hour, 0)
	exact.listed = true
	call := func(facts ...fact) map[string]int {
		got := map[string]int{}
		for _, n := range r.call(facts, now) {
			got[n.name] = n.sessions
		}
		return got
	}
	for i, c := range []struct {
		facts []fact
		want  map[string]int
	}{
		{nil, map[string]int{}},
		{[]fact{node("old", routing.Past, 8*24*time.Hour, 0), node("never", routing.Never, 0, 0)}, map[string]int{}},
		{[]fact{exact, node("a", routing.Attached, 0, 1)}, map[string]int{"exact": 0, "a": 1}},
		{[]fact{exact, node("a", routing.Attached, 0, 1), node("b", routing.Attached, 0, 2), node("c", routing.Away, 0, 3)},
			map[string]int{"exact": 0, "a": 1, othersName: 5}},
		{[]fact{exact, node("a", routing.Past, 6*24*time.Hour, 0), node("b", routing.Attached, 0, 2), node("c", routing.Past, 9*24*time.Hour, 0)},
			map[string]int{"exact": 0, "a": 0, othersName: 2}},
		{[]fact{exact, node("a", routing.Past, 8*24*time.Hour, 0), node("b", routing.Attached, 0, 2), node("d", routing.Attached, 0, 4)},
			map[string]int{"exact": 0, "d": 4, othersName: 2}},
		{[]fact{exact, node("a", routing.Attached, 0, 1), node("b", routing.Attached, 0, 2), node("d", routing.Attached, 0, 4)},
			map[string]int{"exact": 0, "d": 4, othersName: 3}},
	} {
		if got := call(c.facts...); !maps.Equal(got, c.want) {
			t.Errorf("scrape %d: %v, want %v", i, got, c.want)
		}
	}
}

// TestOthersSum: what is summed, and what is the most.
func TestOthersSum(t *testing.T) {
	r := newRoll()
	r.most = 0
	facts := []fact{
		{NodeFacts: routing.NodeFacts{Domain: "a", State: routing.Attached, Links: 1, LinksMax: 2, Sessions: 3, In: 4, Out: 5, Queue: 6,
			QueueBytes: 7, QueueMax: 8, Oldest: time.Second, Since: time.Now(), Unproved: 10, UnprovedBytes: 11, Window: 12, OutboxStanzas: 13,
			OutboxBytes: 14, Spilling: true}, lost: 9, outboxMax: 15, grades: map[string]int{"written": 1}},
		{NodeFacts: routing.NodeFacts{Domain: "b", State: routing.Attached, Draining: true, Links: 1, LinksMax: 1, Sessions: 1, In: 1, Out: 1, Queue: 1,
			QueueBytes: 1, QueueMax: 1, Oldest: time.Minute, Confirming: true, Multicast: true, Since: time.Now(), Unproved: 1, UnprovedBytes: 1, Window: 1,
			OutboxStanzas: 1, OutboxBytes: 1}, lost: 1, outboxMax: 1, grades: map[string]int{"proved": 1}},
	}
	nodes := r.call(facts, time.Now())
	want := node{name: othersName, states: map[string]int{"attached": 1, "draining": 1}, grades: map[string]int{"proved": 1, "written": 1}, links: 2, linksMax: 3,
		sessions: 4, in: 5, out: 6, lost: 10, queue: 7, queueBytes: 8, queueMax: 9, oldest: time.Minute, confirming: 1, multicast: 1, nodes: 2,
		unproved: 11, unprovedBytes: 12, window: 13, outbox: 14, outboxBytes: 15, outboxMax: 16, spilling: 1}
	if len(nodes) != 1 || fmt.Sprint(nodes[0]) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", nodes, want)
	}
}

// TestRollModel: nodes come, go and are forgotten in any order; no series of counters ever goes down, and there are never
// more than the bound.
func TestRollModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRoll()
		r.most = rapid.IntRange(0, 4).Draw(t, "most")
		now := time.Unix(1e9, 0)
		last := map[string]uint64{}
		facts := map[string]*fact{}
		for range rapid.IntRange(1, 40).Draw(t, "scrapes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "days")) * 24 * time.Hour)
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "node")
				f := facts[name]
				if f == nil {
					f = &fact{NodeFacts: routing.NodeFacts{Domain: name}, listed: name == "a"}
					facts[name] = f
				}
				f.State = rapid.SampledFrom([]routing.NodeState{routing.Past, routing.Away, routing.Attached}).Draw(t, "state")
				f.In += uint64(rapid.IntRange(0, 9).Draw(t, "stanzas"))
				f.Since = now
			}
			var all []fact
			for _, name := range slices.Sorted(maps.Keys(facts)) {
				all = append(all, *facts[name])
			}
			nodes := r.call(all, now)
			alone := 0
			for _, n := range nodes {
				if n.name != othersName {
					alone++
				}
				if n.in < last[n.name] {
					t.Fatalf("the counter of %s went from %d to %d", n.name, last[n.name], n.in)
				}
				last[n.name] = n.in
			}
			if alone > r.most {
				t.Fatalf("%d nodes have their own series, %d may", alone, r.most)
			}
			for _, f := range all {
				if f.State >= routing.Away && !slices.ContainsFunc(nodes, func(n node) bool { return n.name == f.Domain || n.name == othersName }) {
					t.Fatalf("%s is nowhere", f.Domain)
				}
			}
		}
	})
}
