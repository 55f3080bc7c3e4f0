package admin

import (
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/routing"
)

// explain answers GET /api/v1/explain. It sends nothing and counts nothing.
func (a *Admin) explain(q *query) (any, error) {
	if err := a.live(); err != nil {
		return nil, err
	}
	x := a.s.Router().Explain(routing.Query{From: q.text("from"), To: q.text("to"), Kind: q.text("kind"), Type: q.text("type")})
	v := x.Verdict
	answer := api.Explanation{
		Server: a.s.Router().Server(), Time: a.opt.Now().UTC(), Kind: x.Kind, Type: x.Type, From: x.From, To: x.To,
		Origin:  api.Origin{Node: x.Origin.Node, State: x.Origin.State, Allowed: x.Origin.Allowed, Why: x.Origin.Why},
		Verdict: api.Verdict{Action: v.Action, Row: v.Row, Copies: v.Copies, Error: v.Error, Text: v.Text},
	}
	for _, r := range x.Rows {
		answer.Rows = append(answer.Rows, api.Row{Row: r.Row, Question: r.Question, Matched: r.Matched, Why: r.Why})
	}
	for _, s := range x.Sessions {
		answer.Sessions = append(answer.Sessions, api.ExplainedSession{Resource: s.Resource, Priority: int(s.Priority), Node: s.Node, Server: answer.Server,
			State: s.State, Grade: s.Grade.String(), QueueBytes: s.QueueBytes, Copy: s.Copy, Why: s.Why})
	}
	for _, e := range x.Ended {
		answer.Ended = append(answer.Ended, api.Ended{JID: e.JID, Node: e.Node, Since: e.Since.UTC(), EndedAt: e.Ended.UTC(), Why: e.Why})
	}
	for _, n := range x.Notes {
		answer.Notes = append(answer.Notes, n.Text)
	}
	for _, t := range v.Targets {
		answer.Verdict.Targets = append(answer.Verdict.Targets, api.Target{Node: t.Node, Waits: t.Waits})
	}
	if v.Reason != routing.None {
		answer.Verdict.Reason = v.Reason.String()
		answer.Recent = a.recently(v.Reason.String())
	}
	return answer, nil
}

// recently counts a reason within the usual span.
func (a *Admin) recently(reason string) *api.Recent {
	l := a.s.Ledger()
	now := a.sampleOf(&l)
	then, known := a.samples.since(usualSince, now.at)
	found := &api.Recent{Reason: reason, Seconds: rounded(usualSince, known)}
	for i, r := range routing.Reasons() {
		if r.Word == reason {
			found.Count = rise(now.reasons[i], then.reasons[i])
		}
	}
	return found
}
