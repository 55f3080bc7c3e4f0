package service

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// seen is a session as a node is told of it (protocol.md 1).
type seen struct {
	resource       string
	node           storage.NodeID
	domain, server string // of the node: its own, and that of the server where it is
	inc            uint64 // the node's incarnation that announced it
	since          int64  // Unix time, in seconds
	priority       int8
	away           bool // the node has dropped its link and may come back
	again          bool // of what a watcher was told: it asked to be told anew
}

// see gives the live sessions of a bare JID, by rising resource.
func (s *Service) see(bare []byte) []seen {
	var all []seen
	for _, x := range s.sessions.Where(bare) {
		rec, ok := s.sessions.Node(x.Node)
		if !ok || rec.State == storage.Gone {
			continue // it ends this moment
		}
		all = append(all, seen{resource: x.JID[len(bare)+1:], node: x.Node, domain: rec.Domain, server: rec.Server,
			inc: x.Inc, since: x.Since.Unix(), priority: x.Priority, away: rec.State == storage.Away})
	}
	slices.SortFunc(all, func(a, b seen) int { return strings.Compare(a.resource, b.resource) })
	return all
}

// where answers <where jid=”/>: the sessions of a user, or the one of a full JID. None is said only from a view
// that is complete.
func (r *request) where() {
	who, bad := r.user()
	if bad != nil {
		r.refused(bad)
		return
	}
	complete := r.s.router.Complete() // before the look: what ends up in the table meanwhile is seen
	all := r.s.see(who.Bare())
	if !who.IsBare() {
		all = slices.DeleteFunc(all, func(x seen) bool { return x.resource != string(who.Resource()) })
	}
	if len(all) == 0 && !complete {
		r.refused(refuse(-1, "wait", "remote-server-timeout", "after a restart it is not yet known whether "+who.String()+" has a session; ask again later"))
		return
	}
	out := append(r.appendResult(nil), "<where xmlns='"+stanza.NSSessions+"' jid='"...)
	out = append(stanza.AppendEscaped(out, who.Bytes()), '\'')
	if len(all) == 0 {
		r.src.Reply(append(out, "/></iq>"...))
		return
	}
	out = append(out, '>')
	for i := range all {
		out = append(out, "<session resource='"...)
		out = append(stanza.AppendEscaped(out, []byte(all[i].resource)), '\'')
		out = append(all[i].appendTo(out), "/>"...)
	}
	r.src.Reply(append(out, "</where></iq>"...))
}

// appendTo appends the attributes of a live session.
func (x *seen) appendTo(dst []byte) []byte {
	state := "online"
	if x.away {
		state = "away"
	}
	dst = append(append(append(append(dst, " node='"...), x.domain...), "' server='"...), x.server...)
	dst = strconv.AppendInt(append(dst, "' priority='"...), int64(x.priority), 10)
	dst = time.Unix(x.since, 0).UTC().AppendFormat(append(dst, "' since='"...), time.RFC3339)
	return append(append(append(dst, "' state='"...), state...), '\'')
}

// user reads the jid that a request is about: of a user, in the domain addressed (protocol.md 1.1). Any node may ask,
// but only for itself: what it passes on for its users would tell each of them where all others are.
func (r *request) user() (stanza.Address, *itemError) {
	if node := r.src.Node().Domain; string(r.from.Domain()) != node {
		return stanza.Address{}, refuse(-1, "auth", "forbidden", "only a node itself may ask where users are; send from "+node)
	}
	w, _ := payload(r.src, r.h)
	jid, escaped, ok := w.Attr("jid")
	if !ok {
		return stanza.Address{}, refuse(-1, "modify", "jid-malformed", "the request has no jid; name a user, as user@"+string(r.to.Domain()))
	}
	who, scratch, err := stanza.ParseAddress(jid, escaped, r.scratch)
	r.scratch = scratch
	switch {
	case err != nil:
		return who, refuse(-1, "modify", "jid-malformed", err.Error())
	case len(who.Local()) == 0:
		return who, refuse(-1, "modify", "jid-malformed", "the jid is of no user; name one, as user@"+string(r.to.Domain()))
	case string(who.Domain()) != string(r.to.Domain()):
		return who, refuse(-1, "auth", "forbidden", "the jid is not in the domain addressed; send to "+string(who.Domain())+" if its users live here")
	}
	return who, nil
}
