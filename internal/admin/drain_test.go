package admin

import (
	"context"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/routing"
)

// TestDrainOf: it is safe to stop what is drained, has no sessions and owes nobody anything.
func TestDrainOf(t *testing.T) {
	fact := func(edit func(f *routing.NodeFacts)) []routing.NodeFacts {
		f := routing.NodeFacts{Domain: "n", State: routing.Attached, Grade: routing.GradeProved}
		edit(&f)
		return []routing.NodeFacts{{Domain: "m", Grade: routing.GradeAcked}, f}
	}
	for name, c := range map[string]struct {
		edit func(f *routing.NodeFacts)
		held uint64
		off  bool
		safe bool
		left int
	}{
		"nothing left":                 {edit: func(*routing.NodeFacts) {}, safe: true},
		"not drained":                  {edit: func(*routing.NodeFacts) {}, off: true},
		"a session":                    {edit: func(f *routing.NodeFacts) { f.Sessions = 1 }, left: 1},
		"a session of one who is away": {edit: func(f *routing.NodeFacts) { f.State, f.Sessions = routing.Away, 1 }, left: 1},
		"waits in memory":              {edit: func(f *routing.NodeFacts) { f.Queue = 1 }, left: 1},
		"waits on disk":                {edit: func(f *routing.NodeFacts) { f.OutboxStanzas = 1 }, left: 1},
		"not proved":                   {edit: func(f *routing.NodeFacts) { f.Unproved = 1 }, left: 1},
		"not counted":                  {edit: func(f *routing.NodeFacts) { f.Unproved, f.Grade = 1, routing.GradeAcked }, left: 1},
		"may be proved yet":            {edit: func(f *routing.NodeFacts) { f.Unproved, f.Grade = 1, routing.GradeProbing }, left: 1},
		"will never be proved":         {edit: func(f *routing.NodeFacts) { f.Unproved, f.Grade = 1, routing.GradeWritten }, safe: true},
		"held":                         {edit: func(*routing.NodeFacts) {}, held: 1},
	} {
		got := drainOf("", !c.off, fact(c.edit), c.held)
		if got.Safe != c.safe || got.LeftNodes != c.left || len(got.Left) != c.left {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestDrainOfWorst: of the nodes that keep a server those are named that keep it most.
func TestDrainOfWorst(t *testing.T) {
	var facts []routing.NodeFacts
	for i, n := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		facts = append(facts, routing.NodeFacts{Domain: n, Sessions: i / 2, Queue: uint64(i), Oldest: time.Duration(i) * time.Second})
	}
	got, names := drainOf("", true, facts, 0), ""
	for _, l := range got.Left {
		names += l.Node
	}
	if names != "gfedc" || got.LeftNodes != 6 || got.Left[0].Queue != 6 || got.OldestSecs != 6 {
		t.Errorf("%s: %+v", names, got)
	}
}

// TestDrainEnds: a node that withdraws its sessions when it is told lets its drain, and that of the server, come to their end.
func TestDrainEnds(t *testing.T) {
	st := newStage(t)
	n := st.attach("node1.im.example", "alice@im.example/phone")
	change[api.Drained](st, api.PathDrain, `{"node":"node1.im.example"}`)
	change[api.Drained](st, api.PathDrain, `{"server":true}`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Withdraw(ctx, jid.MustParse("alice@im.example/phone")); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"?node=node1.im.example", "?server=true"} {
		st.eventually("the end of the drain of "+target, func() bool { return read[api.Drained](st, api.PathDrain+target).Safe })
	}
}
