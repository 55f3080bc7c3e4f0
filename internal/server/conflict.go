package server

import (
	"errors"
	"time"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// proofOfLife is how long a link that a newcomer wants to replace has to show that it lives.
const proofOfLife = time.Second

// What the loser is told.
var (
	errSilent = &stanza.StreamError{Condition: "conflict",
		Text: "a new link took this domain over, and this one did not answer for " + proofOfLife.String() + "; answer pings, and attach once only"}
	errResumed = &stanza.StreamError{Condition: "conflict",
		Text: "the node has resumed this stream over another connection; close the one that is left"}
)

// take gives a domain to the link. If another link has it, the policy decides: reject tells the newcomer
// <conflict/>; replace pings the old link and lets it go if nothing is read from it for a second. The loser is
// told <conflict/> in any case (RFC 6120 4.9.3.3).
func (l *link) take(domain string, entry *config.Node) (*routing.Source, error) {
	grant := grantOf(entry)
	for {
		src, err := l.s.router.Attach(domain, grant, l.hs.Scanner())
		switch {
		case err == nil:
			return src, nil
		case !errors.Is(err, routing.ErrAttached):
			l.s.log.WithError(err).WithField("node", domain).Error("write down that a node is attached")
			return nil, errNotKept
		}
		if entry.Conflict == config.ConflictReject || !l.replace(domain) {
			if entry.Instances > 1 {
				return nil, errAllTaken
			}
			return nil, errConflict
		}
	}
}

// replace reports whether the domain has room now, because a link of it has gone.
func (l *link) replace(domain string) bool {
	olds := l.s.router.Node(domain).Sources()
	if len(olds) == 0 {
		return true
	}
	before := make([]uint64, len(olds))
	for i, old := range olds {
		before[i] = old.Reads()
		l.s.router.Probe(old.Node())
	}
	_, gone := olds[0].Node().Source()
	select {
	case <-gone:
		return true
	case <-l.s.ctx.Done():
		return false
	case <-time.After(proofOfLife):
	}
	for i, old := range olds {
		if old.Reads() == before[i] && !old.Paused() {
			return l.s.dismiss(old, errSilent)
		}
	}
	return false
}

// dismiss ends a link whose domain a new one takes over, and reports whether it has gone.
func (s *Server) dismiss(old *routing.Source, why *stanza.StreamError) bool {
	src, gone := old.Node().Source()
	if src != old {
		return true
	}
	late := time.After(2 * farewell)
	for told := false; ; {
		var again <-chan time.Time
		if o := s.linkOf(old); o != nil && !told {
			o.stop(why)
			told = true
		} else if !told {
			again = time.After(10 * time.Millisecond) // it has the node, and its reader is about to say so
		}
		select {
		case <-gone:
			return true
		case <-again:
		case <-s.ctx.Done():
			return false
		case <-late:
			return false
		}
	}
}

// linkOf finds the link of a source.
func (s *Server) linkOf(src *routing.Source) *link {
	for _, l := range s.openLinks() {
		if l.source() == src {
			return l
		}
	}
	return nil
}
