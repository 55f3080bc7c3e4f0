package admin

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How much is answered. Each bound is far above what people and their programs ask, and far below what costs.
const (
	readsPerSecond   = 200
	changesPerSecond = 10
	wrongPerSecond   = 1 // wrong tokens of one address
	wrongBurst       = 5
	mostSuspects     = 4096 // addresses whose wrong tokens are counted
)

// limits are the rates. What health costs is not counted: a probe must not fail because others ask much.
type limits struct {
	now     func() time.Time // set once
	reads   *rate.Limiter
	changes *rate.Limiter

	mu       sync.Mutex
	suspects map[netip.Addr]*rate.Limiter // guarded by mu; addresses that have shown a wrong token lately
}

func newLimits(now func() time.Time) *limits {
	return &limits{now: now, reads: rate.NewLimiter(readsPerSecond, readsPerSecond), changes: rate.NewLimiter(changesPerSecond, changesPerSecond),
		suspects: map[netip.Addr]*rate.Limiter{}}
}

// take asks for one request; wait is how long to wait before the next try, 0 if it may go on.
func (l *limits) take(change bool) (wait time.Duration) {
	bucket := l.reads
	if change {
		bucket = l.changes
	}
	now := l.now()
	if bucket.AllowN(now, 1) {
		return 0
	}
	return until(bucket, now)
}

// until is when a bucket has room for one again.
func until(bucket *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - bucket.TokensAt(now)
	return max(time.Millisecond, time.Duration(missing/float64(bucket.Limit())*float64(time.Second)))
}

// try asks whether a token that an address shows may be looked at; wait is how long to wait otherwise. It is counted as
// a wrong one until right is called: many that come at one time are no way around the bound.
func (l *limits) try(from netip.Addr) (right func(), wait time.Duration) {
	now := l.now()
	r := l.suspect(household(from), now).ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return nil, wait
	}
	return func() { r.CancelAt(now) }, 0
}

// suspect gives the bucket of an address. The addresses that are counted are bounded; where forgetting those that have
// shown nothing wrong lately is not enough, all begin anew.
func (l *limits) suspect(from netip.Addr, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.suspects[from]
	if s == nil {
		l.forget(now)
		s = rate.NewLimiter(wrongPerSecond, wrongBurst)
		l.suspects[from] = s
	}
	return s
}

// forget makes room for an address. Called with mu held.
func (l *limits) forget(now time.Time) {
	if len(l.suspects) < mostSuspects {
		return
	}
	for a, s := range l.suspects {
		if s.TokensAt(now) >= wrongBurst {
			delete(l.suspects, a)
		}
	}
	if len(l.suspects) >= mostSuspects {
		clear(l.suspects)
	}
}

// seconds is a wait as Retry-After has it: whole seconds, at least one (RFC 9110 10.2.3).
func seconds(wait time.Duration) int { return max(1, int(math.Ceil(wait.Seconds()))) }
