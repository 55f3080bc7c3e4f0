package routing

import "sync/atomic"

// tally is the router's half of the ledger (design 10); the other half are the queues' numbers.
type tally struct {
	accepted atomic.Uint64 // stanzas read from links
	made     atomic.Uint64 // errors, replies and notices of the server itself
	copies   atomic.Uint64 // further copies of a stanza that went to several nodes
	untold   atomic.Uint64 // of those, what no queue took
	served   atomic.Uint64
	why      [reasons]atomic.Uint64
}

// add takes over what one batch counted.
func (t *tally) add(w *work) {
	t.accepted.Add(w.accepted)
	w.src.accepted.Add(w.accepted)
	if w.copies > 0 {
		t.copies.Add(w.copies)
	}
	w.accepted, w.copies = 0, 0
	if w.ends[Served] > 0 {
		t.served.Add(w.ends[Served])
	}
	if w.ends[Bounced]+w.ends[Dropped]+w.ends[Expired] > 0 {
		from := w.src.node.home
		for i := range w.why {
			if w.why[i] > 0 {
				t.why[i].Add(w.why[i])
				from.lost[i].Add(w.why[i])
				w.why[i] = 0
			}
		}
	}
	w.ends = [outcomes]uint64{}
}

// Ledger is the account of every stanza since the start:
//
//	Found + Accepted + Made + Copies = Written + Delivered + Served + Bounced + Dropped + Expired + Waiting + Stored
type Ledger struct {
	Found    uint64 // on disk at the start
	Accepted uint64 // read from links
	Made     uint64 // made by the server: errors, replies, notices
	Copies   uint64 // further copies of one stanza

	Written   uint64 // to links of the grade written
	Delivered uint64 // proved, on links of the grade proved
	Served    uint64
	Bounced   uint64
	Dropped   uint64
	Expired   uint64
	Waiting   uint64 // in memory: in queues, written and unproved, and on hold
	Stored    uint64 // on disk: for users without a session, and in outboxes

	Untold uint64 // errors and answers that the server had to make, and no queue took, for it was full or its node gone: in no sum

	Reasons map[string]uint64 // bounced, dropped and expired ones, by reason
}

// Adds reports whether the account adds up, and by how much it does not. While stanzas are moving it may be
// off by those between two counters.
func (l *Ledger) Adds() (ok bool, off int64) {
	in := l.Found + l.Accepted + l.Made + l.Copies
	out := l.Written + l.Delivered + l.Served + l.Bounced + l.Dropped + l.Expired + l.Waiting + l.Stored
	return in == out, int64(in) - int64(out)
}

// drop adds stanzas that were dropped for a reason.
func (l *Ledger) drop(why Reason, n uint64) {
	if n > 0 {
		l.Dropped += n
		l.Reasons[why.String()] += n
	}
}

// Ledger gives the account at this moment.
func (r *Router) Ledger() Ledger {
	l := Ledger{Accepted: r.tally.accepted.Load(), Made: r.tally.made.Load(), Copies: r.tally.copies.Load(),
		Served: r.tally.served.Load(), Untold: r.tally.untold.Load(), Reasons: map[string]uint64{}}
	stored, found, limbo := r.mail.account()
	l.Stored, l.Found, l.Waiting = stored, found, uint64(r.holds.len.Load())+limbo
	for why := range reasons {
		n := r.tally.why[why].Load()
		if n == 0 {
			continue
		}
		l.Reasons[why.String()] = n
		switch why.Outcome() {
		case Bounced:
			l.Bounced += n
		case Expired:
			l.Expired += n
		default:
			l.Dropped += n
		}
	}
	for _, q := range r.queues() {
		s := q.stats()
		l.Written += s.Ended
		l.Delivered += s.Delivered
		l.Made += s.Repeats
		l.Found += s.Found
		l.Waiting += s.Waiting + s.Pending - uint64(s.KeptStanzas)
		l.Stored += uint64(s.KeptStanzas)
		l.Copies += s.Copies
		l.drop(Superseded, s.Replaced)
		l.drop(Unreadable, s.Broken)
		l.drop(NoticeLost, s.Unsaid)
		if s.Dropped > 0 {
			l.Bounced += s.Dropped
			l.Reasons[NodeDropped.String()] += s.Dropped
		}
	}
	return l
}
