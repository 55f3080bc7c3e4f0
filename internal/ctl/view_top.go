package ctl

import (
	"cmp"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// Sorts are the orders of top, each with the largest first.
var Sorts = []string{"queue", "in", "out", "sessions"}

// Top draws the nodes by what a person watches, and above them the whole. height 0 has no end.
func (s Screen) Top(v api.Status, nodes api.Nodes, sort string, height int) string {
	p := s.page(v.Time)
	p.line(text{v.Server, bold}, tell("   "), text{healthWord(v.Health), toneOf(v.Health)}, tell("   "+p.stamp(v.Time)+"   up "+seconds(v.UptimeSeconds)))
	p.groups(text{}, "   ", append(counts(v.Nodes), say.Count(v.Sessions, "session"), rate(v.Rates.Accepted)+"/s accepted", rate(v.Rates.Delivered)+"/s delivered",
		rate(v.Rates.NotDelivered)+"/s not delivered", say.Count(v.Ledger.Waiting, "stanza")+" in flight"), plain)
	p.say("")
	if len(nodes.Nodes) == 0 {
		p.say("no node is known")
		return p.String()
	}
	all := slices.Clone(nodes.Nodes)
	slices.SortStableFunc(all, func(a, b api.Node) int { return order(sort, a, b) })
	p.nodes(all, nodes.Wrong)
	lines := strings.SplitAfter(strings.TrimSuffix(p.String(), "\n"), "\n")
	if height > 0 && len(lines) > height {
		hidden := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], "... "+say.Count(hidden, "more node"))
	}
	return strings.Join(lines, "") + "\n"
}

// order puts the larger first; with the same figure the order of the answer stays.
func order(sort string, a, b api.Node) int {
	switch sort {
	case "in":
		return cmp.Compare(b.InPerSec, a.InPerSec)
	case "out":
		return cmp.Compare(b.OutPerSec, a.OutPerSec)
	case "sessions":
		return cmp.Compare(b.Sessions, a.Sessions)
	}
	return cmp.Or(cmp.Compare(b.QueueBytes+b.OutboxBytes, a.QueueBytes+a.OutboxBytes), cmp.Compare(b.OldestSecs, a.OldestSecs))
}
