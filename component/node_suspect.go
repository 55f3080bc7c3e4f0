package component

import (
	"context"
	"errors"
	"slices"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// A stanza for which a server ends the stream would end the next one too, and the one after it: what is not acknowledged
// is sent again. So after such an end it is sent in parts, each when the server has the part before. The part that ends the
// stream again is what is sent in parts next, down to a single stanza, which is given up.

// blaming lists the stream errors (RFC 6120 4.9.3) that speak of what was sent.
var blaming = []string{
	"bad-format", "bad-namespace-prefix", "improper-addressing", "invalid-from", "invalid-namespace", "invalid-xml",
	"not-well-formed", "policy-violation", "restricted-xml", "unsupported-encoding", "unsupported-stanza-type",
}

// suspectParts is into how many parts suspects are divided: two streams are enough for 4096 of them.
const suspectParts = 64

// suspects tells how much at the head of what a link has left may have ended it, and gives up the stanza that has: unacked
// is what it had sent, behind it stands what it had not.
func (n *Node) suspects(l *link, reason error, unacked []kept) (int, []kept) {
	ahead := max(0, l.suspects-l.part)
	var told *wire.StreamError
	blamed := errors.As(reason, &told) && slices.Contains(blaming, told.Condition)
	switch {
	case !blamed && l.suspects == 0:
		return 0, unacked
	case !blamed || l.part != 1:
		return len(unacked) + ahead, unacked
	}
	for i, k := range slices.Backward(unacked) {
		if _, ok := n.again(k); ok {
			n.cfg.Log.WithField("reason", told).WithField("stanza", shown(k.raw)).Error("give up a stanza that ends the stream")
			unacked = slices.Delete(unacked, i, i+1)
			break
		}
	}
	return ahead, unacked
}

// shown gives the start tag of a stanza, which says whose it is.
func shown(raw []byte) string {
	w := wire.WalkBytes(raw)
	w.Next()
	_, content := w.Bounds()
	return string(raw[:content.Lo])
}

// resendSuspects sends the suspects of a link's backlog, part by part.
func (n *Node) resendSuspects(ctx context.Context, l *link) error {
	size := max(1, l.suspects/suspectParts)
	for l.suspects > 0 && len(l.backlog) > 0 && l.acks != nil {
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.part = min(size, l.suspects, len(l.backlog))
		for range l.part {
			if err := n.resendOne(ctx, l); err != nil {
				return err
			}
		}
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.suspects -= l.part
		l.part = 0
	}
	l.suspects = 0
	return nil
}
