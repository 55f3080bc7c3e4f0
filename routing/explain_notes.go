package routing

import (
	"fmt"
	"time"
)

// notes tells what comes before the verdict takes effect, in the order in which it would be met: the same questions that
// Source.act asks, without what follows from the answers.
func (x *explaining) notes(v Verdict) {
	switch v.Action {
	case Deliver:
		switch {
		case x.src.mustWait(x.it):
			x.joins(nil)
			return
		case x.src.isBehind(x.it, v.Targets):
			x.joins(v.Targets[0].Node)
			return
		}
		for _, t := range v.Targets {
			x.queueNote(t.Node, len(v.Targets) > 1)
		}
	case Store:
		if x.src.mustWait(x.it) {
			x.joins(nil)
			return
		}
		err := x.r.mail.store.Fits(x.it.to.Bare(), len(x.src.delayed(x.w, x.it)), x.it.user.Keep)
		x.ends(unstored(err), "", "it is not stored: ")
	case Hold:
		x.holdNote(nil)
	}
}

// joins tells that older stanzas wait for the user, or go first when a replay to a node has begun.
func (x *explaining) joins(replay *Node) {
	if x.holdNote(replay) {
		return
	}
	x.Notes = append(x.Notes, ExplainedNote{Action: Hold,
		Text: fmt.Sprintf("older stanzas wait for %s: it joins them, and the verdict is made when its turn comes", x.it.to.Bare())})
}

// holdNote tells if there is no room for what waits for users, and reports whether there is none.
func (x *explaining) holdNote(replay *Node) (full bool) {
	h := held{raw: x.src.copyOf(x.w, x.it), origin: x.src.node, until: time.Time{}, request: request(&x.it.h)}
	if x.r.holds.would(x.it.to.Bare(), h, replay) {
		return false
	}
	x.ends(HoldFull, "", "it cannot wait: ")
	return true
}

// queueNote tells if a node's queue, or the table of iqs, does not take the copy.
func (x *explaining) queueNote(n *Node, shared bool) {
	what := rec{origin: x.src.node.ID()}
	switch {
	case shared:
		what.class = classShared
	case request(&x.it.h):
		what.class = classRequest
		if !x.r.iqs.would(x.src.newAsk(x.it, n)) {
			x.ends(IQFull, n.Domain, "the table of iqs that wait for an answer is full: ")
			return
		}
	}
	switch res := n.queue.would(&x.it.h, what); res {
	case putKept, putDisk:
		q := n.queue.stats()
		x.ends(n.queue.why(res), n.Domain, fmt.Sprintf("the outbox of %s takes no more (%d bytes): ", n.Domain, q.Kept))
	case putFull, putBehind:
		q := n.queue.stats()
		x.ends(QueueFull, n.Domain, fmt.Sprintf("the queue of %s is full (%d of %d bytes): ", n.Domain, q.Bytes, q.Limit))
	case putLater:
		x.ends(NodeAway, n.Domain, n.Domain+" has no link at this moment: ")
	}
}

// ends tells that the stanza, or its copy for a node, ends for a reason, as Source.settle would do it.
func (x *explaining) ends(why Reason, node, head string) {
	if why == None {
		return
	}
	n := ExplainedNote{Action: Bounce, Reason: why, Node: node}
	if why.Outcome() == Bounced && x.it.h.Answerable() {
		e := why.StanzaError()
		n.Text = head + fmt.Sprintf("%s gets %s/%s", x.Origin.Node, e.Type, e.Condition)
	} else {
		n.Action, n.Reason = Drop, silent(&x.it.h)
		n.Text = head + "it is dropped"
	}
	x.Notes = append(x.Notes, n)
}
