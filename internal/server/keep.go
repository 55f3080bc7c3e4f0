package server

import (
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// deadAfter is how many ping intervals a link may be silent while its socket takes nothing. Silence alone is
// slowness: some libraries never answer an iq, and some answer behind minutes of work.
const deadAfter = 10

// pinger is what the keeper remembers of a link. Owned by the keeper.
type pinger struct {
	reads   uint64
	read    time.Time // when reads last changed
	pinged  time.Time
	written uint64
	unsent  int           // bytes that the peer's host has not acknowledged
	took    time.Time     // when the socket last took something, or had nothing to take
	grade   routing.Grade // the last that was told
}

// keep pings idle links and ends dead ones (RFC 6120 4.6.3). It never sends bare white space, which one
// library cannot bear.
func (s *Server) keep() {
	each := min(time.Second, s.Config().Timers.Ping/2)
	tick := time.NewTicker(each)
	defer tick.Stop()
	var mem memory
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			s.keepAll(now)
			if s.opt.Memory {
				mem.keep(s.Config().Limits.Memory, s.router.Stats().QueueMemory)
			}
			if d := min(time.Second, s.Config().Timers.Ping/2); d != each {
				each = d
				tick.Reset(d)
			}
		}
	}
}

func (s *Server) keepAll(now time.Time) {
	for _, l := range s.openLinks() {
		l.keep(now)
	}
	s.refusals.summarise(now, refusalSpan)
}

func (l *link) keep(now time.Time) {
	src, p, interval := l.source(), &l.ping, l.s.Config().Timers.Ping
	if src == nil {
		return
	}
	p.tellGrade(src.Log, src.Grade())
	if reads := src.Reads(); reads != p.reads || p.read.IsZero() || src.Paused() { // paused: the silence is ours
		p.reads, p.read = reads, now
	}
	if now.Sub(p.read) < interval {
		return
	}
	q, unsent := src.Node().Queue(), l.conn.Unsent()
	if q.Written != p.written || unsent < p.unsent || unsent == 0 && !q.Blocked || p.took.IsZero() {
		p.written, p.took = q.Written, now
	}
	p.unsent = unsent
	limit := deadAfter * interval
	if now.Sub(p.read) > limit && now.Sub(p.took) > limit {
		l.stop(&stanza.StreamError{Condition: "connection-timeout", Text: "nothing was read from this link, and it took nothing, for " + limit.String() + "; read the stream, and answer pings"})
		return
	}
	if now.Sub(p.pinged) >= interval {
		p.pinged = now
		l.s.router.Probe(src.Node())
	}
}

// tellGrade logs what is known of delivery on the link, once it is known, and when it changes. That a node answers no pings is
// news to who runs it, and that it does is not.
func (p *pinger) tellGrade(log *logrus.Entry, now routing.Grade) {
	was := p.grade
	if now == was || now < routing.GradeWritten {
		return
	}
	p.grade = now
	log = log.WithField("grade", now.String())
	switch {
	case now == routing.GradeWritten:
		log.Info("the node answers no pings, so nothing proves that it reads (help ops#grades)")
	case now == routing.GradeAcked:
		log.Debug("the node counts the stanzas that it has handled")
	case was == routing.GradeNone:
		log.Debug("the node answers pings: what it has read is proved")
	default:
		log.Info("the node answers pings now: what it has read is proved")
	}
}
