package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/routing"
)

const usualSince = 5 * time.Minute

// outcomes answers GET /api/v1/outcomes.
func (a *Admin) outcomes(q *query) (any, error) {
	span, only := q.span("since", usualSince), q.text("reason")
	answer := api.Outcomes{Server: a.s.Router().Server(), Time: a.opt.Now().UTC(), Node: q.node("node")}
	var total, recent func(i int, r *routing.ReasonInfo) uint64
	if answer.Node == "" {
		total, recent = a.outcomesOfAll(&answer, span)
	} else {
		facts := a.s.Router().Facts()
		i := slices.IndexFunc(facts, func(f routing.NodeFacts) bool { return f.Domain == answer.Node })
		if i < 0 {
			return nil, noNode(answer.Node)
		}
		total, recent = a.outcomesOfNode(&answer, &facts[i], span)
	}
	for i, r := range routing.Reasons() {
		if n := total(i, &r); n > 0 && only == "" || r.Word == only {
			answer.Reasons = append(answer.Reasons, reasonOf(&r, n, recent(i, &r)))
		}
	}
	slices.SortStableFunc(answer.Reasons, func(x, y api.Reason) int {
		return cmp.Or(cmp.Compare(y.Recent, x.Recent), cmp.Compare(y.Total, x.Total))
	})
	return answer, nil
}

func (a *Admin) outcomesOfAll(answer *api.Outcomes, span time.Duration) (total, recent func(int, *routing.ReasonInfo) uint64) {
	l := a.s.Ledger()
	sum, now := ledger(&l), a.sampleOf(&l)
	then, known := a.samples.since(span, now.at)
	answer.Ledger, answer.Accepted, answer.Recent, answer.SinceSeconds = &sum, now.accepted, rise(now.accepted, then.accepted), rounded(span, known)
	return func(i int, _ *routing.ReasonInfo) uint64 { return now.reasons[i] },
		func(i int, _ *routing.ReasonInfo) uint64 { return rise(now.reasons[i], then.reasons[i]) }
}

func (a *Admin) outcomesOfNode(answer *api.Outcomes, f *routing.NodeFacts, span time.Duration) (total, recent func(int, *routing.ReasonInfo) uint64) {
	n := a.countsOf(f)
	rose, known := a.samples.ofNode(f.Domain, n, span, a.opt.Now())
	answer.Accepted, answer.Recent, answer.SinceSeconds = n.in, rose[routing.None], rounded(span, known)
	words := map[string]routing.Reason{}
	for why := range n.reasons {
		words[why.String()] = why
	}
	return func(_ int, r *routing.ReasonInfo) uint64 { return n.reasons[words[r.Word]] },
		func(_ int, r *routing.ReasonInfo) uint64 {
			if why, ok := words[r.Word]; ok {
				return rose[why]
			}
			return 0
		}
}

func reasonOf(r *routing.ReasonInfo, total, recent uint64) api.Reason {
	out := api.Reason{Reason: r.Word, Outcome: r.Outcome.String(), Total: total, Recent: recent, Means: r.Means, Mend: r.Mend}
	if r.Error.Condition != "" {
		out.Error = r.Error.Type + "/" + string(r.Error.Condition)
	}
	return out
}

// reasonWords are the words that the parameter reason takes.
func reasonWords() []string {
	var words []string
	for _, r := range routing.Reasons() {
		words = append(words, r.Word)
	}
	return words
}
