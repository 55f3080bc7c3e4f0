package service

import (
	"maps"
	"strings"

	"github.com/patchbay-im/patchbay/stanza"
)

// watchModel lets nodes come and go, state sessions and watch users, with links that take nothing for a time. What a
// link has read, in its order, is all that it can know.
type watchModel struct {
	*testbed
	links map[string]*hearing
}

// hearing is what one link has been told.
type hearing struct {
	asked map[string]bool   // the users that it watches by its last request
	open  map[string]bool   // the same, by the results that it has read
	knows map[string]string // full JID -> what was said of it
	again map[string]bool   // the users that it asked for once more: what is known may be said again
	owed  map[string]bool   // what it knew of them when it asked: that must be
}

func newHearing() *hearing {
	return &hearing{asked: map[string]bool{}, open: map[string]bool{}, knows: map[string]string{}, again: map[string]bool{}, owed: map[string]bool{}}
}

func bareOf(jid string) string { return jid[:strings.IndexByte(jid, '/')] }

// read takes in what a link was written: every notice is of a user that it watches, and tells something new.
func (m *watchModel) read(node string) {
	l := m.links[node]
	m.each(node, func(h *stanza.Header) {
		id := string(h.In(h.ID.Value))
		if user, ok := strings.CutPrefix(id, "watch "); ok && h.Kind == stanza.IQ {
			l.again[user] = l.again[user] || l.open[user]
			l.open[user] = true
			for jid := range l.knows {
				l.owed[jid] = l.owed[jid] || bareOf(jid) == user
			}
		}
		if user, ok := strings.CutPrefix(id, "unwatch "); ok && h.Kind == stanza.IQ {
			delete(l.open, user)
			maps.DeleteFunc(l.knows, func(jid, _ string) bool { return bareOf(jid) == user })
			maps.DeleteFunc(l.owed, func(jid string, _ bool) bool { return bareOf(jid) == user })
		}
		n, ok := m.notice(h)
		if !ok {
			return
		}
		before, knew := l.knows[n.jid]
		delete(l.owed, n.jid)
		switch {
		case !l.open[bareOf(n.jid)]:
			m.t.Fatalf("%s was told of %s, whom it does not watch", node, n.jid)
		case h.Type == stanza.TypeUnavailable && (!knew || strings.Fields(before)[0] != n.says || n.why == ""):
			m.t.Fatalf("%s was told that %s ended at %s (%s), and knew %q", node, n.jid, n.says, n.why, before)
		case h.Type == stanza.TypeUnavailable:
			delete(l.knows, n.jid)
		case before == n.says && !l.again[bareOf(n.jid)]:
			m.t.Fatalf("%s was told of %s %q twice", node, n.jid, n.says)
		default:
			l.knows[n.jid] = n.says
		}
	})
}
