package admin

import (
	"slices"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/storage"
)

// The four answers to where a user is (design 2).
const (
	answerOnline  = "online"
	answerAway    = "away"
	answerUnknown = "unknown"
	answerOffline = "offline"
)

// where answers GET /api/v1/where.
func (a *Admin) where(q *query) (any, error) {
	if err := a.live(); err != nil {
		return nil, err
	}
	who, err := userOf(q.text("jid"))
	if err != nil {
		return nil, err
	}
	if domain := string(who.Domain()); !slices.Contains(a.s.Config().Users, domain) {
		return nil, &api.Error{Code: api.CodeNotFound, Message: word(domain) + " is no user domain of this server", Mend: "see the key users: patchbay ctl status, patchbay.yaml"}
	}
	complete := a.s.Router().Complete() // before the look: what ends up in the table meanwhile is seen
	answer := api.Where{Server: a.s.Router().Server(), Time: a.opt.Now().UTC(), JID: who.String(), Sessions: a.sessionsOf(who)}
	answer.Answer = fourfold(answer.Sessions, complete)
	for _, x := range a.s.Sessions().Ended(who.Bare()) {
		if who.IsBare() || x.JID == who.String() {
			answer.Ended = append(answer.Ended, a.endedOf(&x))
		}
	}
	if off := a.s.Offline(); off != nil {
		answer.Stored = uint64(off.Count(who.Bare()))
	}
	return answer, nil
}

// fourfold says what the sessions of a user mean. That somebody is offline is said only from a view that is complete.
func fourfold(sessions []api.Session, complete bool) string {
	here := func(x api.Session) bool { return x.State != api.StateAway }
	switch {
	case slices.ContainsFunc(sessions, here):
		return answerOnline
	case len(sessions) > 0:
		return answerAway
	case complete:
		return answerOffline
	}
	return answerUnknown
}

func (a *Admin) endedOf(x *storage.EndedSession) api.Ended {
	rec, _ := a.s.Sessions().Node(x.Node)
	return api.Ended{JID: x.JID, Node: rec.Domain, Since: x.Since.UTC(), EndedAt: x.Ended.UTC(), Why: x.Why.String()}
}
