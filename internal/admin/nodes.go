package admin

import (
	"slices"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/storage"
)

// nodes answers GET /api/v1/nodes.
func (a *Admin) nodes(q *query) (any, error) {
	now, only := a.opt.Now(), q.node("domain")
	facts := a.s.Router().Facts()
	if only != "" {
		facts = slices.DeleteFunc(facts, func(f routing.NodeFacts) bool { return f.Domain != only })
		if len(facts) == 0 {
			return nil, noNode(only)
		}
	}
	answer := api.Nodes{Server: a.s.Router().Server(), Time: now.UTC(), Wrong: a.wrongNodes(facts, now)}
	then, span := a.samples.lately(now)
	for i := range facts {
		f, was := &facts[i], then[facts[i].Domain]
		n := nodeOf(f, outboxMax(a.s.Config()))
		n.InPerSec, n.OutPerSec = perSecond(f.In, was.in, span), perSecond(f.Out, was.out, span)
		answer.Nodes = append(answer.Nodes, n)
	}
	return answer, nil
}

// noNode says that a domain is none of a node's.
func noNode(domain string) *api.Error {
	return &api.Error{Code: api.CodeNotFound, Message: "no node of the name " + word(domain) + " is known here", Mend: "see patchbay ctl nodes"}
}

// outboxMax is what may wait on disk for one node; 0 where there are no outboxes.
func outboxMax(cfg *config.Config) uint64 {
	if cfg.Data == config.Memory {
		return 0
	}
	return uint64(cfg.Limits.Outbox)
}

func nodeOf(f *routing.NodeFacts, outbox uint64) api.Node {
	n := api.Node{Domain: f.Domain, State: f.Word(), Links: f.Links, LinksMax: f.LinksMax, Sessions: f.Sessions, Grade: f.Grade.String(),
		In: f.In, Out: f.Out, Queue: f.Queue, QueueBytes: f.QueueBytes, QueueMax: f.QueueMax, Unproved: f.Unproved, UnprovedBytes: f.UnprovedBytes,
		Window: f.Window, Outbox: f.OutboxStanzas, OutboxBytes: f.OutboxBytes, OutboxMax: outbox, Spilling: f.Spilling, OldestSecs: f.Oldest.Seconds(),
		Since: f.Since.UTC(), Confirming: f.Confirming}
	if !f.GraceEnds.IsZero() {
		ends := f.GraceEnds.UTC()
		n.GraceEndsAt = &ends
	}
	if f.Multicast {
		n.Takes = append(n.Takes, "multicast")
	}
	return n
}

// recordStates are the words of the API for the states of the session table.
var recordStates = map[storage.NodeState]string{
	storage.Up: api.StateAttached, storage.Draining: api.StateDraining, storage.Away: api.StateAway, storage.Gone: api.StateGone,
}
