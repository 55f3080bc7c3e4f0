package server

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// What the log says of refusals: the first of a kind at once, then their number each refusalSpan.
const (
	refusalSpan     = 10 * time.Second
	maxRefusals     = 100 // kinds that are counted apart
	maxHostRefusals = 10  // kinds of one address that are
)

// refusals logs refused connections, so that a peer that tries again and again does not fill the log. Kinds over the
// bounds are counted together.
type refusals struct {
	log *logrus.Entry // set once

	// guarded by mu
	mu    sync.Mutex
	kinds map[refusal]*repeats
	hosts map[netip.Addr]int // kinds of each address
}

// refusal is what makes one refusal like another. Without a reason it stands for all others of an address, and without
// an address for those of all.
type refusal struct {
	host         netip.Addr
	node, reason string
}

type repeats struct {
	since time.Time // the last line about them
	more  uint64    // since then
	last  LinkInfo
}

func newRefusals(log *logrus.Entry) *refusals {
	return &refusals{log: log, kinds: map[refusal]*repeats{}, hosts: map[netip.Addr]int{}}
}

// tell logs a refusal, or counts it.
func (r *refusals) tell(e closedLink) {
	if r.count(e) {
		r.line(e.LinkInfo).Warn("node refused: " + e.Text)
	}
}

// count reports whether a refusal is the first of its kind.
func (r *refusals) count(e closedLink) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kind(e)
	seen := r.kinds[k]
	if seen == nil {
		seen = &repeats{since: e.Ended}
		r.kinds[k] = seen
		r.hosts[k.host]++
		if k.reason != "" {
			return true
		}
	}
	seen.more++
	seen.last = e.LinkInfo
	return false
}

// kind gives what a refusal is counted under. Called with mu held.
func (r *refusals) kind(e closedLink) refusal {
	k := refusal{e.host, e.Node, e.Reason}
	switch {
	case r.kinds[k] != nil:
		return k
	case r.hosts[e.host] >= maxHostRefusals:
		return refusal{host: e.host}
	case len(r.kinds) >= maxRefusals:
		return refusal{}
	}
	return k
}

// summarise logs what was counted for as long as a span. A kind of which nothing was counted is forgotten: the next is a
// first one again.
func (r *refusals) summarise(now time.Time, span time.Duration) {
	type sum struct {
		refusal
		repeats
	}
	var sums []sum
	r.mu.Lock()
	for k, seen := range r.kinds {
		switch {
		case now.Sub(seen.since) < span:
		case seen.more > 0:
			sums = append(sums, sum{k, *seen})
			seen.since, seen.more = now, 0
		default:
			delete(r.kinds, k)
			if r.hosts[k.host]--; r.hosts[k.host] == 0 {
				delete(r.hosts, k.host)
			}
		}
	}
	r.mu.Unlock()
	for _, s := range sums {
		log, what := r.line(s.last), s.last.Text
		switch {
		case !s.host.IsValid():
			log, what = r.log, "several addresses, names and reasons, see patchbay ctl links --closed"
		case s.reason == "":
			log, what = r.log.WithField("from", s.host), "several names and reasons, see patchbay ctl links --closed"
		}
		log.WithField("count", s.more).Warn(fmt.Sprintf("nodes refused, %d more within %v: %s", s.more, now.Sub(s.since).Round(time.Second), what))
	}
}

// line gives the fields of a refusal.
func (r *refusals) line(i LinkInfo) *logrus.Entry {
	log := r.log.WithFields(logrus.Fields{"from": i.Peer, "reason": i.Reason})
	if i.Node != "" {
		log = log.WithField("node", i.Node)
	}
	if i.Mend != "" {
		log = log.WithField("mend", i.Mend)
	}
	return log
}
