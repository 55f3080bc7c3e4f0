package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime/metrics"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/storage"
)

// status answers GET /api/v1/status.
func (a *Admin) status(q *query) (any, error) {
	now, cfg, router := a.opt.Now(), a.s.Config(), a.s.Router()
	st := api.Status{
		Server: cfg.Server, Version: a.opt.Version, Time: now.UTC(), StartedAt: a.began.UTC(), UptimeSeconds: int64(now.Sub(a.began) / time.Second),
		Health: api.OK, Ready: a.s.Ready(), ViewComplete: router.Complete(),
		Listen:   api.Listen{Component: a.s.ComponentAddr(), ComponentTLS: a.s.ComponentTLSAddr(), HTTP: a.HTTPAddr(), Metrics: a.MetricsAddr()},
		Config:   *a.config.Load(),
		Sessions: a.s.Sessions().Total(), Loading: a.s.Sessions().Loading(),
		Ledger: ledger(a.s),
		Memory: memory(),
	}
	for _, rec := range a.s.Sessions().Nodes() {
		switch rec.State {
		case storage.Up:
			st.Nodes.Attached++
		case storage.Draining:
			st.Nodes.Attached++
			st.Nodes.Draining++
		case storage.Away:
			st.Nodes.Away++
		case storage.Gone:
			st.Nodes.Gone++
		}
	}
	for _, n := range router.Nodes() {
		st.Links += len(n.Sources())
		st.Memory.QueueBytes += uint64(n.Queue().Bytes)
	}
	if cfg.Data != config.Memory {
		st.Disk = disk(cfg.Data)
	}
	if q.ask.near() {
		st.TokenFile = absolute(a.token.file)
	}
	return st, nil
}

// loaded describes the configuration file as it is on disk now.
func loaded(file string, now time.Time) *api.ConfigFile {
	c := &api.ConfigFile{File: absolute(file), LoadedAt: now.UTC()}
	if text, err := os.ReadFile(file); err == nil {
		sum := sha256.Sum256(text)
		c.SHA256 = hex.EncodeToString(sum[:])
	}
	return c
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
