package admin

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
)

// checkAway finds a node that has dropped its link.
func checkAway(f *routing.NodeFacts, e *evidence) *api.Finding {
	if f.State != routing.Away {
		return nil
	}
	message := f.Domain + " is away"
	if left := f.GraceEnds.Sub(e.now); !f.GraceEnds.IsZero() {
		message += ": in " + say.Span(left.Round(time.Second)) + " its grace ends"
	}
	if f.Sessions == 0 {
		return &api.Finding{State: api.Warning, Message: message, Mend: "see why its link dropped: patchbay ctl links --closed"}
	}
	if f.Sessions == 1 {
		message += ", then its session ends too"
	} else {
		message += ", then its " + say.Number(f.Sessions) + " sessions end too"
	}
	return &api.Finding{State: api.Failed, Message: message, Mend: "see why its link dropped: patchbay ctl links --closed"}
}

// checkGone finds a node of the file that did not come back. After a day it is somebody's decision, as for the alert.
func checkGone(f *routing.NodeFacts, e *evidence) *api.Finding {
	entry, ok := e.cfg.Node(f.Domain)
	ago := e.now.Sub(f.Since)
	if f.State != routing.Past || !ok || entry.Wildcard() || ago >= goneLong {
		return nil
	}
	long := "for "
	if f.Since.Sub(e.began) < time.Minute { // one that the start found gone has been so for longer, nobody knows for how long
		long += "at least "
	}
	return &api.Finding{State: api.Warning, Message: f.Domain + " has been gone " + long + say.Span(ago.Round(time.Second)) + ": its grace has passed, and its sessions have ended",
		Mend: "see why its link ended: patchbay ctl links --closed; a node that is not to come back is taken out of nodes"}
}

// checkOld finds a node that reads slower than it is sent to.
func checkOld(f *routing.NodeFacts, _ *evidence) *api.Finding {
	if f.State != routing.Attached || f.Oldest <= slowAfter && !f.Spilling {
		return nil
	}
	message := f.Domain + " is slow: its oldest stanza waits for " + say.Span(f.Oldest.Round(time.Second))
	if f.Spilling {
		message += ", and what comes for it goes to its outbox (" + say.Size(f.OutboxBytes) + ")"
	}
	return &api.Finding{State: api.Warning, Message: message,
		Mend: "see what the node waits for, most often its database; patchbay ctl drain " + f.Domain + " keeps new users off it"}
}

// checkFull finds a queue that will refuse soon. Where there are outboxes none does: they take what it cannot.
func checkFull(f *routing.NodeFacts, e *evidence) *api.Finding {
	if outboxMax(e.cfg) > 0 || f.QueueMax == 0 || f.QueueBytes*100 < halfQueue*f.QueueMax {
		return nil
	}
	percent := f.QueueBytes * 100 / f.QueueMax
	found := &api.Finding{State: api.Warning, Message: fmt.Sprintf("the queue of %s is %d %% full: %s of %s", f.Domain, percent, say.Size(f.QueueBytes), say.Size(f.QueueMax)),
		Mend: "what comes when it is full goes back to its sender as queue-full; see why the node does not read, or raise limits.queue"}
	if percent >= fullQueue {
		found.State = api.Failed
	}
	return found
}

// checkOutbox finds an outbox that will refuse soon.
func checkOutbox(f *routing.NodeFacts, e *evidence) *api.Finding {
	limit := outboxMax(e.cfg)
	if limit == 0 || f.OutboxBytes*100 < mostOfOutbox*limit {
		return nil
	}
	percent := f.OutboxBytes * 100 / limit
	found := &api.Finding{State: api.Warning, Message: fmt.Sprintf("the outbox of %s is %d %% full: %s of %s", f.Domain, percent, say.Size(f.OutboxBytes), say.Size(limit)),
		Mend: "what comes when it is full goes back to its sender; see why the node does not read, or raise limits.outbox"}
	if percent >= fullQueue {
		found.State = api.Failed
	}
	return found
}

// checkGrades tells of nodes that answer no pings. It is how they are made, and so is no fault.
func checkGrades(e *evidence) []api.Finding {
	var mute []string
	for i := range e.facts {
		if f := &e.facts[i]; f.State == routing.Attached && f.Grade == routing.GradeWritten {
			mute = append(mute, f.Domain)
		}
	}
	if len(mute) == 0 {
		return nil
	}
	names := strings.Join(mute[:min(namesInLine, len(mute))], ", ")
	if more := len(mute) - namesInLine; more > 0 {
		names += " and " + say.Number(more) + " more"
	}
	verb := " answer no pings, so nothing proves that they read"
	if len(mute) == 1 {
		verb = " answers no pings, so nothing proves that it read"
	}
	return []api.Finding{{State: api.OK, Message: names + verb, Mend: "one handler for iqs does it: patchbay help ops#grades"}}
}

// ends is how often links ended in one way lately.
type ends struct {
	who, reason string
	n           uint64
	last        server.LinkInfo
}

// checkLinks finds nodes that are refused again and again, whose stream we ended, or whose link drops often.
func checkLinks(e *evidence) []api.Finding {
	attached := map[string]time.Time{}
	for i := range e.facts {
		if f := &e.facts[i]; f.State == routing.Attached {
			attached[f.Domain] = f.Since
		}
	}
	var all []*ends
	byWay := map[[3]string]*ends{}
	for _, l := range e.closed { // newest first
		if e.now.Sub(l.Ended) > lookBack || l.Reason == server.EndClosed || l.Reason == server.EndStopped {
			continue
		}
		if since, ok := attached[l.Node]; ok && l.State == server.LinkRefused && since.After(l.Ended) {
			continue // it got in since: what kept it out was mended
		}
		way := [3]string{cmp.Or(l.Node, "a peer at "+host(l.Peer)), l.Reason, l.State}
		x := byWay[way]
		if x == nil {
			x = &ends{who: word(way[0]), reason: l.Reason, last: l}
			byWay[way] = x
			all = append(all, x)
		}
		x.n += max(1, l.Count)
	}
	slices.SortStableFunc(all, func(x, y *ends) int { return cmp.Compare(y.n, x.n) })
	var found []api.Finding
	for _, x := range all {
		if x.reason != server.EndDropped || x.n >= flaps {
			found = append(found, x.finding())
		}
	}
	return found
}

func (x *ends) finding() api.Finding {
	verb := "ended"
	if x.last.State == server.LinkRefused {
		verb = "refused"
	}
	f := api.Finding{State: api.Warning, Message: fmt.Sprintf("%s was %s %s in the last 5 min: %s", x.who, verb, times(x.n), x.reason),
		Node: x.last.Node,
		Mend: cmp.Or(line(x.last.Mend), line(x.last.Text), "patchbay ctl links --closed")}
	if x.reason == server.EndDropped {
		f.Message = fmt.Sprintf("the link of %s dropped %s in the last 5 min", x.who, times(x.n))
		f.Mend = "see the node's log; a library that is not answered, or a proxy between, may end it"
	}
	return f
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return say.Number(n) + " times"
}

// host is a peer's address without its port, which is another each time.
func host(peer string) string {
	if name, _, err := net.SplitHostPort(peer); err == nil {
		return name
	}
	return peer
}
