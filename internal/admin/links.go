package admin

import (
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/server"
)

// links answers GET /api/v1/links.
func (a *Admin) links(q *query) (any, error) {
	answer := api.Links{Server: a.s.Router().Server(), Time: a.opt.Now().UTC(), Closed: q.flag("closed")}
	all := a.s.Links
	if answer.Closed {
		all = a.s.Closed
	}
	for _, l := range all() {
		answer.Links = append(answer.Links, linkOf(&l))
	}
	return answer, nil
}

func linkOf(l *server.LinkInfo) api.Link {
	out := api.Link{ID: l.ID, Node: l.Node, Peer: l.Peer, TLS: l.TLS, Secure: l.Secure, Auth: l.Auth, State: l.State, Grade: l.Grade, Since: l.Since.UTC(), In: l.In,
		Reason: l.Reason, Text: l.Text, Mend: l.Mend, Count: max(1, l.Count)}
	if !l.Ended.IsZero() {
		ended := l.Ended.UTC()
		out.EndedAt = &ended
	}
	return out
}
