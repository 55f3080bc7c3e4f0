package ctl

import (
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// Outcomes draws what became of every stanza: the account, then each reason that kept one from its target.
func (s Screen) Outcomes(v api.Outcomes) string {
	p := s.page(v.Time)
	last := "last " + seconds(v.SinceSeconds)
	from := "all nodes"
	if v.Node != "" {
		from = v.Node
	}
	if v.Ledger != nil {
		p.ledger(*v.Ledger)
	}
	p.wrap(text{}, "from "+from+": "+say.Number(v.Accepted)+" accepted since the start, "+say.Number(v.Recent)+" in the "+last)
	p.say("")
	if len(v.Reasons) == 0 {
		p.line(text{"no stanza ended otherwise than at its target", good})
		return p.String()
	}
	t := table{columns: []column{{head: "REASON"}, {head: "OUTCOME", drop: 2}, {head: "LAST " + short(v.SinceSeconds), right: true},
		{head: "TOTAL", right: true}, {head: "ERROR", drop: 1}}}
	for _, r := range v.Reasons {
		t.add(tell(r.Reason), tell(r.Outcome), tell(say.Number(r.Recent)), tell(say.Number(r.Total)), tell(orDash(r.Error)))
	}
	p.table(t, 0)
	p.say("")
	if len(v.Reasons) > 1 && !s.Wide {
		p.say("what a reason means, and what to do: --reason WORD, or patchbay help errors#WORD")
		return p.String()
	}
	for i, r := range v.Reasons {
		if i > 0 {
			p.say("")
		}
		p.wrap(text{r.Reason + "  ", bold}, unmarked(r.Means))
		p.wrap(text{"  mend: ", dim}, unmarked(r.Mend))
	}
	return p.String()
}

// unmarked takes the marks of code away, which are for pages.
func unmarked(s string) string { return strings.ReplaceAll(s, "`", "") }

// short writes a span as it is asked for: 5m, 90s, 1h.
func short(seconds int64) string {
	switch {
	case seconds > 0 && seconds%3600 == 0:
		return say.Number(seconds/3600) + "h"
	case seconds > 0 && seconds%60 == 0:
		return say.Number(seconds/60) + "m"
	}
	return say.Number(seconds) + "s"
}
