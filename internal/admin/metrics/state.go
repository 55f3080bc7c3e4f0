package metrics

import (
	"time"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/storage"
)

// state is one look at the server: each part of it at one moment, and the parts right after each other.
type state struct {
	s        *server.Server
	cfg      *config.Config
	requests *Requests

	ledger   routing.Ledger
	off      int64
	tables   routing.Stats
	nodes    []node
	links    map[string]int // by state
	gate     component.GateStats
	begun    server.Handshakes
	reloads  server.Reloads
	sessions storage.SessionStats
	queues   uint64        // bytes of all queues, and of what is written and not proved
	kept     *keptState    // nil: nothing is kept on disk
	offline  *offlineState // nil: nothing is stored
	disk     storage.Disk
	onDisk   bool
}

type offlineState struct {
	storage.OfflineStats
	database storage.DatabaseStats
}

// keptState is what all outboxes hold, and the offline store with them.
type keptState struct{ outboxes, outboxBytes, bytes uint64 }

func (c *Collector) look() *state {
	s := c.s
	st := &state{s: s, cfg: s.Config(), requests: c.requests, tables: s.Router().Stats(), gate: s.Gate(), begun: s.Handshakes(), reloads: s.Reloads(),
		sessions: s.Sessions().Stats(), links: map[string]int{server.LinkHandshake: 0, server.LinkAttached: 0}}
	st.ledger = s.Ledger()
	_, st.off = st.ledger.Adds()
	st.disk, st.onDisk = s.Sessions().Disk()
	if f := s.Offline(); f != nil {
		st.offline = &offlineState{f.Stats(), f.Database()}
	}
	facts := st.facts()
	st.sum(facts)
	st.nodes = c.roll.call(facts, time.Now())
	return st
}

// sum adds up what waits for all nodes.
func (st *state) sum(facts []fact) {
	if st.cfg.Data != config.Memory {
		st.kept = &keptState{}
	}
	for i := range facts {
		f := &facts[i]
		st.queues += f.QueueBytes + f.UnprovedBytes
		if st.kept != nil {
			f.outboxMax = uint64(st.cfg.Limits.Outbox)
			st.kept.outboxes += f.OutboxStanzas
			st.kept.outboxBytes += f.OutboxBytes
		}
	}
	if st.kept != nil {
		st.kept.bytes = st.kept.outboxBytes
		if st.offline != nil {
			st.kept.bytes += uint64(st.offline.Bytes)
		}
	}
}

// facts gathers what is known of each node.
func (st *state) facts() []fact {
	grades := map[string]map[string]int{}
	for _, l := range st.s.Links() {
		st.links[l.State]++
		if l.Grade == "" {
			continue
		}
		if grades[l.Node] == nil {
			grades[l.Node] = map[string]int{}
		}
		grades[l.Node][l.Grade]++
	}
	exact := map[string]bool{}
	for i := range st.cfg.Nodes {
		exact[st.cfg.Nodes[i].Domain] = true // a wildcard is no domain
	}
	router := st.s.Router()
	var all []fact
	for _, n := range router.Facts() {
		f := fact{NodeFacts: n, grades: grades[n.Domain], listed: exact[n.Domain]}
		for _, lost := range router.NodeReasons(n.Domain) {
			f.lost += lost
		}
		all = append(all, f)
	}
	return all
}
