package server

import (
	"path/filepath"
	"sync"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// first makes a function that calls f with the first failure only: there are two databases on one disk.
func first(f func(error)) func(error) {
	var once sync.Once
	return func(err error) {
		if f != nil {
			once.Do(func() { f(err) })
		}
	}
}

// openQueues opens the stores of what waits: none if nothing is kept on disk, and nothing is stored.
func openQueues(cfg *config.Config, opt Options) (*storage.Queues, error) {
	dir := cfg.Data
	if dir == config.Memory && !cfg.Stores() {
		return nil, nil
	}
	if dir != config.Memory {
		dir = filepath.Join(dir, "queues")
	}
	return storage.OpenQueues(storage.QueuesOptions{Dir: dir, OfflineTotal: cfg.Offline.Total, Disk: diskOf(cfg), Log: opt.Log, OnFail: opt.OnFail})
}

// diskOf is what the stores may have of the disk together; 0, no bound, where there is none.
func diskOf(cfg *config.Config) int64 {
	if cfg.Data == config.Memory {
		return 0
	}
	return cfg.Limits.Disk
}

// offlineOf gives the offline store where a user domain stores, or has stored under an older configuration: what is there
// still goes to its users. Otherwise nil.
func offlineOf(q *storage.Queues, cfg *config.Config) *storage.Offline {
	if q == nil || !cfg.Stores() && q.Offline().Stats().Messages == 0 {
		return nil
	}
	return q.Offline()
}

// outboxOf gives the outbox, nil if what waits for nodes waits in memory only.
func outboxOf(q *storage.Queues) *storage.Outbox {
	if q == nil {
		return nil
	}
	return q.Outbox()
}

// policies are the words of the configuration, as routing has them.
var policies = map[string]routing.OfflinePolicy{
	config.PolicyBounce: routing.PolicyBounce, config.PolicyDiscard: routing.PolicyDiscard,
	config.PolicyStore: routing.PolicyStore, config.PolicyForward: routing.PolicyForward,
}

// settingsOf is what routing has to know of the configuration.
func settingsOf(cfg *config.Config) routing.Settings {
	set := routing.Settings{Queue: cfg.Limits.Queue, Outbox: cfg.Limits.Outbox, Memory: cfg.Limits.Memory, Grace: cfg.Timers.Grace, Settle: cfg.Timers.Settle,
		Limits: stanza.DefaultLimits, Fan: cfg.Limits.Addresses, Age: cfg.Offline.Keep.Age}
	set.Limits.Stanza, set.Limits.Depth = cfg.Limits.Stanza, cfg.Limits.Depth
	for _, u := range cfg.Users {
		off := cfg.Offline.Of(u)
		d := routing.UserDomain{Name: u, Offline: policies[off.Policy],
			Keep: storage.Keep{Messages: off.Keep.Messages, Bytes: off.Keep.Bytes, Age: off.Keep.Age}}
		if d.Offline == routing.PolicyForward {
			d.ForwardTo = off.ForwardTo
		}
		set.Users = append(set.Users, d)
	}
	for i := range cfg.Nodes {
		if !cfg.Nodes[i].Wildcard() {
			set.Known = append(set.Known, cfg.Nodes[i].Domain)
		}
	}
	return set
}
