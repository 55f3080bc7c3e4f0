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
	offline  *offlineState // nil: nothing is stored
	disk     storage.Disk
	onDisk   bool
}

type offlineState struct {
	storage.OfflineStats
	database storage.DatabaseStats
}

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
	st.nodes = c.roll.call(st.facts(), time.Now())
	return st
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
