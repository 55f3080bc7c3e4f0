package server

import (
	"errors"
	"strconv"
	"time"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// attach gives the peer its domain. Without an error the link has a source then, or a session was not to be resumed, and the
// handshake goes on.
func (l *link) attach() error {
	domain := l.hs.Domain()
	entry, ok := l.s.Config().Node(domain)
	if !ok {
		return errNoEntry // a reload has just taken it away
	}
	if err := l.s.admits(domain); err != nil {
		return err
	}
	l.leave()
	asks := l.hs.Opening()
	l.prove(asks.Modern)
	if asks.PrevID != "" {
		return l.resume(domain, entry, asks)
	}
	src, err := l.take(domain, entry)
	if err != nil {
		return err
	}
	return l.begin(src, "node attached", func() error {
		if !asks.Modern {
			return src.Start(l.conn, []byte(component.Accepted))
		}
		id, grace := "", l.s.Config().Timers.Grace
		if asks.Resume && entry.Instances <= 1 && grace > 0 {
			id = stream.NewID()
		}
		return src.StartAcked(l.conn, id, enabled(id, grace))
	})
}

// enabled is the answer to <enable/> (XEP-0198 3). Of several links that share a domain none can be resumed: another one may
// have taken its stanzas over.
func enabled(id string, grace time.Duration) []byte {
	if id == "" {
		return []byte("<enabled xmlns='" + stanza.NSSM + "'/>")
	}
	most := int64((grace + time.Second - 1) / time.Second)
	return []byte("<enabled xmlns='" + stanza.NSSM + "' id='" + id + "' resume='true' max='" + strconv.FormatInt(most, 10) + "'/>")
}

// prove writes down how the domain was proved.
func (l *link) prove(modern bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.method, l.modern = l.hs.Method(), modern
}

// begin opens the way out of a link that has its domain.
func (l *link) begin(src *routing.Source, what string, start func() error) error {
	_ = l.conn.SetReadDeadline(time.Time{})
	if err := l.stopping(); err != nil {
		src.Detach()
		return err
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(l.s.Config().Timers.Handshake))
	if err := start(); err != nil {
		src.Detach()
		return err
	}
	_ = l.conn.SetWriteDeadline(time.Time{})
	l.setSource(src)
	l.hs = nil // thousands of idle links need not remember how they began
	l.s.closed.ok.Add(1)
	src.Log.WithField("from", l.addr).Info(what) // its grade is told when it is known: see keep
	l.reconcile()                                // the configuration may have changed while it attached
	return nil
}

// resume goes on with a link that dropped (XEP-0198 5). One that hangs is ended at once: who knows its id is its node, and says
// that it has left it.
func (l *link) resume(domain string, entry *config.Node, asks component.Opening) error {
	old, _ := l.s.router.Resumable(domain, asks.PrevID)
	if old != nil && !l.s.dismiss(old, errResumed) {
		return errConflict
	}
	src, err := l.s.router.Resume(domain, grantOf(entry), l.hs.Scanner(), asks.PrevID, asks.H)
	var not *routing.NotResumed
	var high *routing.TooHigh
	switch {
	case errors.As(err, &not):
		return l.hs.NotResumed(not.Handled, not.Known)
	case errors.As(err, &high):
		return high.StreamError()
	case errors.Is(err, routing.ErrAttached):
		return errConflict
	case err != nil:
		l.s.log.WithError(err).WithField("node", domain).Error("resume the link of a node")
		return errNotKept
	}
	return l.begin(src, "node resumed its link", func() error { return src.StartResumed(l.conn) })
}
