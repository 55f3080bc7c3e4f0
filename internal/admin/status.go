package admin

import (
	"path/filepath"
	"runtime/metrics"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/routing"
)

// status answers GET /api/v1/status.
func (a *Admin) status(q *query) (any, error) {
	now, cfg, router, began := a.opt.Now(), a.s.Config(), a.s.Router(), a.s.Started()
	e := a.evidence(router.Facts())
	st := api.Status{
		Server: cfg.Server, Version: a.opt.Version, Time: now.UTC(), StartedAt: began.UTC(), UptimeSeconds: int64(now.Sub(began) / time.Second),
		Ready: a.s.Ready(), Draining: router.Draining(), ViewComplete: router.Complete(),
		Listen:   api.Listen{Component: a.s.ComponentAddr(), ComponentTLS: a.s.ComponentTLSAddr(), HTTP: a.HTTPAddr(), Metrics: a.MetricsAddr()},
		Config:   a.file(),
		Sessions: a.s.Sessions().Total(), Loading: a.s.Sessions().Loading(), Held: uint64(router.Stats().Held),
		Rates: a.rates(&e.ledger), Ledger: ledger(&e.ledger), Memory: memory(), Wrong: e.wrong(),
	}
	st.Health = worst(st.Wrong)
	st.Memory.QueuesMax = uint64(cfg.Limits.Memory)
	for i := range e.facts {
		f := &e.facts[i]
		countNode(&st.Nodes, f)
		st.Links += f.Links
		st.Memory.QueueBytes += f.QueueBytes
		st.Memory.UnprovedBytes += f.UnprovedBytes
	}
	st.Outbox = outboxes(cfg, e.facts)
	st.Disk = a.disk()
	if q.ask.near() {
		st.TokenFile = absolute(a.token.file)
	}
	return st, nil
}

// outboxes sums what waits on disk; nil if nothing is kept there.
func outboxes(cfg *config.Config, facts []routing.NodeFacts) *api.Outboxes {
	if cfg.Data == config.Memory {
		return nil
	}
	all := &api.Outboxes{DiskMax: uint64(cfg.Limits.Disk)}
	for i := range facts {
		f := &facts[i]
		if f.OutboxStanzas > 0 {
			all.Nodes++
		}
		if f.Spilling {
			all.Spilling++
		}
		all.Stanzas, all.Bytes = all.Stanzas+f.OutboxStanzas, all.Bytes+f.OutboxBytes
	}
	return all
}

// disk is the file system of the data, nil if nothing is kept or the system does not tell.
func (a *Admin) disk() *api.Disk {
	d, ok := a.s.Sessions().Disk()
	if !ok {
		return nil
	}
	return &api.Disk{Path: absolute(a.s.Config().Data), FreeBytes: d.Free, TotalBytes: d.Size}
}

// countNode counts a node by its state.
func countNode(c *api.NodeCounts, f *routing.NodeFacts) {
	switch f.State {
	case routing.Attached:
		c.Attached++
		if f.Draining {
			c.Draining++
		}
	case routing.Away:
		c.Away++
	case routing.Past:
		c.Gone++
	case routing.Never:
		c.Never++
	}
}

// absolute names a file so that another program on this machine finds it.
func absolute(file string) string {
	if file == "" {
		return ""
	}
	if abs, err := filepath.Abs(file); err == nil {
		return abs
	}
	return file
}

// memory is what the process uses.
func memory() api.Memory {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return api.Memory{ResidentBytes: resident(), HeapBytes: heap[0].Value.Uint64()}
}
