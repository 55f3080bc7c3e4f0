package admin

import (
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// The bounds of a list of sessions.
const (
	usualSessions = 100
	mostSessions  = 10_000
)

// sessions answers GET /api/v1/sessions. It never walks the table: a list is of one user, or is cut at its limit, and a
// number is one that the table keeps.
func (a *Admin) sessions(q *query) (any, error) {
	if err := a.live(); err != nil {
		return nil, err
	}
	table := a.s.Sessions()
	answer := api.Sessions{Server: table.Server(), Time: a.opt.Now().UTC(), Loading: table.Loading()}
	list := lister{a: a, limit: q.number("limit", usualSessions)}
	if q.flag("count") {
		list.limit = 0
	}
	user, domain := q.text("user"), q.node("node")
	var err error
	switch {
	case user != "":
		answer.Count, err = list.ofUser(user, domain)
	case domain != "":
		rec, known := table.NodeByDomain(domain)
		if !known && a.s.Router().Node(domain) == nil {
			return nil, noNode(domain)
		}
		answer.Count = list.ofNode(rec)
	default:
		for _, rec := range table.Nodes() {
			list.ofNode(rec)
		}
		answer.Count = table.Total()
	}
	if err != nil {
		return nil, err
	}
	answer.Sessions = list.sorted()
	answer.Count = max(answer.Count, len(answer.Sessions)) // they change meanwhile
	return answer, nil
}

// live refuses what looks into the session table while the server closes it.
func (a *Admin) live() error {
	if a.s.Stopping() {
		return &api.Error{Code: api.CodeStopping, Message: "the server is stopping", Mend: "ask again when it is back"}
	}
	return nil
}

// lister gathers sessions up to a limit.
type lister struct {
	a     *Admin
	limit int
	all   []api.Session
}

// ofUser takes the sessions of a user, or of one resource, and counts them; domain is "" or the node that they are on.
func (l *lister) ofUser(jid, domain string) (count int, err error) {
	who, err := userOf(jid)
	if err != nil {
		return 0, err
	}
	for _, x := range l.a.sessionsOf(who) {
		if domain == "" || x.Node == domain {
			if count++; count <= l.limit {
				l.all = append(l.all, x)
			}
		}
	}
	return count, nil
}

// ofNode takes the sessions of a node for which there is room, and gives the number of all.
func (l *lister) ofNode(rec storage.NodeRecord) int {
	table := l.a.s.Sessions()
	if room := l.limit - len(l.all); room > 0 && rec.State != storage.Gone {
		table.EachOfNode(rec.ID, room, func(x storage.Session) bool {
			l.all = append(l.all, sessionOf(&x, &rec))
			return true
		})
	}
	return table.Count(rec.ID)
}

func (l *lister) sorted() []api.Session {
	slices.SortFunc(l.all, func(x, y api.Session) int { return strings.Compare(x.JID, y.JID) })
	return l.all
}

// userOf takes the address of a user, bare or full.
func userOf(jid string) (stanza.Address, error) {
	who, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	switch {
	case err != nil:
		return who, badRequest(word(jid)+" is no address (RFC 7622)", "such as bob@im.example")
	case len(who.Local()) == 0:
		return who, badRequest(word(jid)+" is the address of no user", "such as bob@im.example")
	}
	return who, nil
}

// sessionsOf gives the live sessions of a user, or that of a full JID, by resource.
func (a *Admin) sessionsOf(who stanza.Address) []api.Session {
	var all []api.Session
	for _, x := range a.s.Sessions().Where(who.Bare()) {
		rec, ok := a.s.Sessions().Node(x.Node)
		if !ok || rec.State == storage.Gone || !who.IsBare() && x.JID != who.String() {
			continue // gone: it ends this moment
		}
		all = append(all, sessionOf(&x, &rec))
	}
	slices.SortFunc(all, func(x, y api.Session) int { return strings.Compare(x.JID, y.JID) })
	return all
}

func sessionOf(x *storage.Session, rec *storage.NodeRecord) api.Session {
	return api.Session{JID: x.JID, Node: rec.Domain, Server: rec.Server, State: recordStates[rec.State], Priority: int(x.Priority), Since: x.Since.UTC()}
}
