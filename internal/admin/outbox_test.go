package admin

import (
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/routing"
)

// TestOutboxChecks looks at nodes whose stanzas wait on disk.
func TestOutboxChecks(t *testing.T) {
	kept := &config.Config{Data: "/data", Limits: config.Limits{Outbox: 100 << 20}}
	for _, c := range []struct {
		name  string
		cfg   *config.Config
		facts routing.NodeFacts
		want  string
	}{
		{"empty", kept, routing.NodeFacts{}, ""},
		{"a full queue, which spills", kept, routing.NodeFacts{QueueBytes: 100, QueueMax: 100}, ""},
		{"79 %", kept, routing.NodeFacts{OutboxBytes: 80<<20 - 1}, ""},
		{"80 %", kept, routing.NodeFacts{OutboxBytes: 80 << 20}, "warning the outbox of n.example is 80 % full: 80.0 MiB of 100 MiB"},
		{"90 %", kept, routing.NodeFacts{OutboxBytes: 90 << 20}, "failed the outbox of n.example is 90 % full: 90.0 MiB of 100 MiB"},
		{"spilling", kept, routing.NodeFacts{Spilling: true, OutboxBytes: 1 << 20, Oldest: time.Second},
			"warning n.example is slow: its oldest stanza waits for 1 s, and what comes for it goes to its outbox (1.0 MiB)"},
		{"no outbox", &config.Config{Data: config.Memory, Limits: kept.Limits}, routing.NodeFacts{QueueBytes: 50, QueueMax: 100, OutboxBytes: 99 << 20},
			"warning the queue of n.example is 50 % full: 50 B of 100 B"},
	} {
		c.facts.Domain, c.facts.State = "n.example", routing.Attached
		e := &evidence{now: noon, cfg: c.cfg, facts: []routing.NodeFacts{c.facts}}
		var all []api.Finding
		for i := range checks {
			if checks[i].node != nil {
				all = append(all, checks[i].look(e)...)
			}
		}
		if got := told(all); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestGradeCheck names the nodes that answer no pings; that is told, and no fault.
func TestGradeCheck(t *testing.T) {
	node := func(name string, state routing.NodeState, g routing.Grade) routing.NodeFacts {
		return routing.NodeFacts{Domain: name, State: state, Grade: g}
	}
	mute := func(name string) routing.NodeFacts { return node(name, routing.Attached, routing.GradeWritten) }
	for _, c := range []struct {
		facts []routing.NodeFacts
		want  string
	}{
		{nil, ""},
		{[]routing.NodeFacts{node("a", routing.Attached, routing.GradeProved), node("b", routing.Attached, routing.GradeProbing), node("c", routing.Past, routing.GradeWritten)}, ""},
		{[]routing.NodeFacts{mute("a")}, "ok a answers no pings, so nothing proves that it read"},
		{[]routing.NodeFacts{mute("a"), mute("b"), mute("c"), mute("d"), mute("e")}, "ok a, b, c and 2 more answer no pings, so nothing proves that they read"},
	} {
		if got := told(checkGrades(&evidence{facts: c.facts})); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestOutboxSums adds the outboxes up; a server that keeps nothing has none.
func TestOutboxSums(t *testing.T) {
	cfg := &config.Config{Data: "/data", Limits: config.Limits{Disk: 1000, Outbox: 500}}
	facts := []routing.NodeFacts{{OutboxStanzas: 2, OutboxBytes: 100, Spilling: true}, {}, {OutboxStanzas: 3, OutboxBytes: 50}}
	if got := *outboxes(cfg, facts); got != (api.Outboxes{Nodes: 2, Stanzas: 5, Bytes: 150, Spilling: 1, DiskMax: 1000}) {
		t.Errorf("%+v", got)
	}
	n := nodeOf(&routing.NodeFacts{Grade: routing.GradeProved, Unproved: 7, UnprovedBytes: 700, Window: 800, OutboxStanzas: 2, OutboxBytes: 100, Spilling: true}, outboxMax(cfg))
	if n.Grade != "proved" || n.Unproved != 7 || n.UnprovedBytes != 700 || n.Window != 800 || n.Outbox != 2 || n.OutboxBytes != 100 || n.OutboxMax != 500 || !n.Spilling {
		t.Errorf("%+v", n)
	}
	cfg.Data = config.Memory
	if outboxes(cfg, facts) != nil || outboxMax(cfg) != 0 {
		t.Error("there are outboxes in memory")
	}
}

// TestKeptCheck warns of a disk limit that is nearly reached.
func TestKeptCheck(t *testing.T) {
	for kept, want := range map[uint64]string{799: "", 800: "warning outboxes and the offline store have 80 % of what they may: 800 B of 1000 B", 1100: "warning outboxes and the offline store have 110 % of what they may: 1.1 KiB of 1000 B"} {
		if got := told(nearDisk(kept, 1000)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if nearDisk(1, 0) != nil {
		t.Error("a limit that is not set is reached")
	}
}

// TestDrainWaits counts what is not proved, but of a node that proves nothing.
func TestDrainWaits(t *testing.T) {
	f := routing.NodeFacts{Queue: 1, QueueBytes: 10, Unproved: 2, UnprovedBytes: 20, OutboxStanzas: 4, OutboxBytes: 40}
	for g, want := range map[routing.Grade][2]uint64{routing.GradeProved: {7, 70}, routing.GradeWritten: {5, 50}, routing.GradeProbing: {7, 70}, routing.GradeAcked: {7, 70}} {
		f.Grade = g
		if stanzas, bytes := owed(&f); stanzas != want[0] || bytes != want[1] {
			t.Errorf("%v: %d stanzas, %d bytes", g, stanzas, bytes)
		}
	}
}
