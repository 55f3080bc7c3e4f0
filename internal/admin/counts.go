package admin

import (
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/routing"
)

// ledger is the account of every stanza, with what it is off by.
func ledger(l *routing.Ledger) api.Ledger {
	_, off := l.Adds()
	return api.Ledger{Found: l.Found, Accepted: l.Accepted, Made: l.Made, Copies: l.Copies,
		Delivered: l.Delivered, Written: l.Written, Served: l.Served, Bounced: l.Bounced, Dropped: l.Dropped, Expired: l.Expired,
		Waiting: l.Waiting, Stored: l.Stored, Untold: l.Untold, Off: off}
}

// counts looks at what the server counts.
func (a *Admin) counts() counts {
	l := a.s.Ledger()
	c := counts{sample: a.sampleOf(&l), nodes: map[string]nodeCounts{}}
	for _, f := range a.s.Router().Facts() {
		c.nodes[f.Domain] = a.countsOf(&f)
	}
	return c
}

func (a *Admin) sampleOf(l *routing.Ledger) sample {
	now := sample{at: a.opt.Now(), accepted: l.Accepted, delivered: l.Written + l.Delivered, untold: l.Untold, undone: l.Bounced + l.Dropped + l.Expired}
	for _, r := range routing.Reasons() {
		now.reasons = append(now.reasons, l.Reasons[r.Word])
	}
	return now
}

func (a *Admin) countsOf(f *routing.NodeFacts) nodeCounts {
	return nodeCounts{passage{f.In, f.Out}, a.s.Router().NodeReasons(f.Domain)}
}

// rates are those of the last 10 s.
func (a *Admin) rates(l *routing.Ledger) api.Rates {
	now := a.sampleOf(l)
	then, span := a.samples.since(rateSpan, now.at)
	return api.Rates{Accepted: perSecond(now.accepted, then.accepted, span), Delivered: perSecond(now.delivered, then.delivered, span),
		NotDelivered: perSecond(now.undone, then.undone, span)}
}
