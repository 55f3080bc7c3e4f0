package routing

import (
	"cmp"
	"slices"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// origin finds the node that would send the stanza, and makes a Source that stands for its link.
func (x *explaining) origin(q Query) {
	n, why := x.sender(q)
	x.Origin.Why = why
	if n == nil {
		n = x.r.nobody
	} else {
		x.Origin.Node, x.Origin.State = n.Domain, x.word(n)
	}
	x.src = x.link(n)
	x.w.src = x.src
}

// word is the state of a node's domain as tables show it.
func (x *explaining) word(n *Node) string {
	f := NodeFacts{State: n.Reachable(), Draining: n.Draining()}
	return f.Word()
}

// link makes the Source. What a node without a link may do is not known here: it is taken to have what its sessions need.
func (x *explaining) link(n *Node) *Source {
	var grant *Grant
	for _, m := range n.all() {
		if src, _ := m.Source(); src != nil && m.State() == Attached {
			n, grant = m, src.Grant()
			break
		}
	}
	if grant == nil {
		grant = &Grant{}
		for i := range x.r.set().Users {
			grant.Users = append(grant.Users, x.r.set().Users[i].Name)
		}
	}
	src := &Source{r: x.r, Log: x.r.cfg.Log, node: n, sc: storedScanner(x.r.set().Limits)}
	src.grant.Store(grant)
	return src
}

// sender gives the node that would send the stanza, or nil and why there is none.
func (x *explaining) sender(q Query) (n *Node, why string) {
	if q.At != "" {
		at, _, err := stanza.ParseAddress([]byte(q.At), false, nil)
		if err == nil {
			n = x.r.Node(at.String())
		}
		if n == nil || n.Reachable() == Never {
			return nil, "is not sent by " + q.At + ", which is no node that is known here"
		}
		return n, ""
	}
	if q.From == "" {
		return nil, "there is no from: name the node that would send the stanza"
	}
	from, _, err := stanza.ParseAddress([]byte(q.From), false, nil)
	if err != nil {
		return nil, "is not a valid address (RFC 7622)"
	}
	d := x.r.table.find(from.Domain())
	switch {
	case d == nil || d.kind() == PlaceOther:
		return nil, "is in no domain that a link may use"
	case d.kind() == PlaceServer:
		return nil, "is of the server's own domain, for which no link may speak"
	case d.kind() == PlaceUsers:
		return x.holder(from, q.announces(x.r))
	case d.node.Load().Reachable() == Never:
		return nil, "is of a node that was never attached"
	}
	return d.node.Load(), ""
}

// announces reports whether the stanza announces a session, which needs none to be there.
func (q *Query) announces(r *Router) bool {
	to, _, err := stanza.ParseAddress([]byte(q.To), false, nil)
	if q.Kind != "presence" || err != nil || len(to.Local()) > 0 {
		return false
	}
	d := r.table.find(to.Domain())
	return d != nil && d.kind() == PlaceUsers
}

// holder gives a node that may speak for a user: with the session itself, with another one, with one that ended less than
// an hour ago, a bridge, or any that may announce it.
func (x *explaining) holder(from stanza.Address, announces bool) (*Node, string) {
	if n := x.held(from); n != nil {
		return n, ""
	}
	nodes := x.r.Nodes()
	slices.SortFunc(nodes, func(a, b *Node) int { return cmp.Compare(a.Domain, b.Domain) })
	var some *Node
	for _, n := range nodes {
		src, _ := n.Source()
		if src == nil {
			continue
		}
		if g := src.Grant(); g.MayAnnounce(from.Domain()) && (announces || g.SpeakDomain && len(from.Local()) > 0) {
			return n.home, ""
		}
		some = n.home
	}
	switch {
	case announces:
		return some, "is announced by no node"
	case len(from.Local()) == 0:
		return nil, "is a user domain, for which only the router speaks"
	}
	return nil, "has no session on any node, so no link may speak for it"
}

// held gives the node that holds a user now, or did until less than an hour ago: rather the one with this session, and
// rather one with a link.
func (x *explaining) held(from stanza.Address) (best *Node) {
	rank := -1
	for _, s := range x.r.sessions.Where(from.Bare()) {
		n := x.r.table.node(s.Node)
		if n == nil {
			continue
		}
		this := 0
		if s.JID == from.String() {
			this += 2
		}
		if n.Reachable() == Attached {
			this++
		}
		if this > rank {
			best, rank = n, this
		}
	}
	if best != nil {
		return best
	}
	for _, s := range x.r.sessions.Ended(from.Bare()) {
		if n := x.r.table.node(s.Node); n != nil && x.r.sessions.Holds(x.r.sessions.Hash(from.Bare()), from.Bare(), s.Node) {
			return n
		}
	}
	return nil
}

// groundWords says by which right the node may use From.
func (x *explaining) groundWords(g ground) string {
	node, domain := x.Origin.Node, string(x.it.from.Domain())
	why := ""
	switch g {
	case noFrom:
		why = "there is no from: the stanza is that of " + node
	case ownDomain:
		why = "is of the domain of " + node + " itself"
		if x.it.from.IsDomain() {
			why = "is " + node + " itself"
		}
	case mayClaim:
		why = "is what " + node + " announces"
	case speaksAll:
		why = "may be used by " + node + ", which speaks for all of " + domain
	default:
		why = x.holdsWords(node, domain)
	}
	if x.src.node.State() != Attached {
		why += "; it is " + x.Origin.State + ", and can send nothing now"
	}
	return why
}

func (x *explaining) holdsWords(node, domain string) string {
	from, id := x.it.from, x.src.node.ID()
	words := ""
	for _, s := range x.r.sessions.Where(from.Bare()) {
		switch {
		case s.Node != id:
		case s.JID == from.String():
			return "is on " + node + ", whose link may speak for " + domain
		default:
			words = "has a session on " + node + ", whose link may speak for " + domain
		}
	}
	if words != "" {
		return words
	}
	for _, s := range x.r.sessions.Ended(from.Bare()) {
		if s.Node == id {
			return "was on " + node + " until " + x.clock(s.Ended) + ", which counts for an hour"
		}
	}
	return "was on " + node + " less than an hour ago"
}

// sessions tells of each session of the user, and of those that have ended.
func (x *explaining) sessions(v Verdict) {
	if x.it.place != PlaceUsers || len(x.it.to.Local()) == 0 {
		return
	}
	bare := x.it.to.Bare()
	seen := map[*Node]bool{}
	all := x.r.sessions.Where(bare)
	slices.SortFunc(all, func(a, b storage.Session) int { return cmp.Compare(a.JID, b.JID) })
	for _, s := range all {
		n := x.r.table.node(s.Node)
		if n == nil {
			continue
		}
		e := ExplainedSession{Resource: s.JID[len(bare)+1:], Priority: s.Priority, Node: n.Domain, State: x.word(n),
			Grade: n.Grade(), Since: s.Since, QueueBytes: uint64(n.queue.stats().Bytes)}
		e.Copy, e.Why = x.copyWords(v, e)
		if e.Copy && seen[n] {
			e.Why = "the same copy: one per node"
		}
		seen[n] = seen[n] || e.Copy
		x.Sessions = append(x.Sessions, e)
	}
	for i, s := range x.r.sessions.Ended(bare) {
		if i == 3 {
			break
		}
		e := ExplainedEnd{JID: s.JID, Since: s.Since, Ended: s.Ended, Why: s.Why.String()}
		if n := x.r.table.node(s.Node); n != nil {
			e.Node = n.Domain
		}
		x.Ended = append(x.Ended, e)
	}
}

// copyWords says whether a session gets a copy, and why.
func (x *explaining) copyWords(v Verdict, e ExplainedSession) (gets bool, why string) {
	h, view := &x.it.h, &x.w.view
	named := view.Resource && e.Resource == string(x.it.to.Resource())
	least, reaches := reach(h, view.Resource)
	goes := v.Action == Deliver && v.Row == 4
	switch {
	case named && goes && e.State == Away.String():
		return true, "the address names it; it waits for the node"
	case named && goes:
		return true, "the address names it"
	case named:
		return false, "its node is away, and an iq is not kept"
	case len(view.Sessions) > 0 && view.Sessions[0].Exact:
		return false, "the address names another session"
	case !reaches && view.Resource:
		return false, "only chat goes to other sessions than the address names"
	case request(h):
		return false, "the server answers for the account"
	case !reaches:
		return false, "only its full address reaches it"
	case int(e.Priority) < least:
		return false, "negative priority"
	case goes && e.State == Away.String():
		return true, "it waits for the node"
	}
	return goes, ""
}
