package ctl

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// Explain draws the decision on a stanza, row by row.
func (s Screen) Explain(v api.Explanation) string {
	p := s.page(v.Time)
	kind := strings.TrimSpace(v.Kind + " " + v.Type)
	p.groups(text{kind + "   ", bold}, "   ", []string{cmp.Or(say.Clean(v.From), "(no from)") + " -> " + cmp.Or(say.Clean(v.To), "(nobody)"), "on " + say.Clean(v.Server) + ", nothing is sent"}, plain)
	head, end := text{"  from  ", good}, "  ok"
	if !v.Origin.Allowed {
		head.t, end = bad, "  NOT ALLOWED"
	}
	p.groups(head, " ", append(strings.Fields(say.Clean(cmp.Or(v.From, "(no from)")+" "+v.Origin.Why)), end), plain)
	question := 0
	for _, r := range v.Rows {
		question = max(question, width(say.Clean(r.Question)))
	}
	for _, r := range v.Rows {
		head := fmt.Sprintf("  %d  %s  ", r.Row, pad(say.Clean(r.Question), question, false))
		if r.Matched {
			p.wrap(text{head + "YES  ", bold}, r.Why)
		} else {
			p.wrap(text{head, dim}, strings.TrimSpace("no   "+r.Why))
		}
	}
	p.candidates(v.Sessions, v.Server)
	for _, e := range v.Ended {
		p.wrap(tell("       last known  "), fmt.Sprintf("%s on %s, ended %s (%s)", resource(e.JID), e.Node, p.when(e.EndedAt), ending(e.Why)))
	}
	for _, n := range v.Notes {
		p.wrap(text{"  note  ", warn}, n)
	}
	p.verdict(v)
	return p.String()
}

// candidates draws the sessions of the user, and which of them gets a copy.
func (p *page) candidates(all []api.ExplainedSession, server string) {
	t := table{columns: []column{{cut: 8}, {}, {cut: 12}, {drop: 2, cut: 8}, {drop: 1}, {}}}
	for _, x := range all {
		at := "" // here
		if x.Server != server {
			at = x.Server
		}
		got := text{"copy", good}
		if !x.Copy {
			got = text{strings.TrimPrefix(x.Why+": no copy", ": "), dim}
		}
		t.add(tell("/"+strings.TrimPrefix(x.Resource, "/")), tell("prio "+pad(strconv.Itoa(x.Priority), 3, true)), tell(x.Node), tell(at),
			tell(x.State+", "+x.Grade+", queue "+say.Size(x.QueueBytes)), got)
	}
	if len(all) > 0 {
		p.table(t, 7)
	}
}

// verdict draws what would become of the stanza.
func (p *page) verdict(v api.Explanation) {
	t := warn
	if slices.Contains([]string{"deliver", "serve", "fan-out", "store", "hold"}, v.Verdict.Action) {
		t = good
	}
	if v.Verdict.Action == "end-link" {
		t = bad
	}
	said := v.Verdict.Text
	if !strings.HasPrefix(said, v.Verdict.Action) {
		said = v.Verdict.Action + ": " + said
	}
	p.wrap(text{"  VERDICT  ", t}, said)
	if r := v.Recent; r != nil && r.Count > 0 {
		times := "once"
		if r.Count > 1 {
			times = say.Number(r.Count) + " times"
		}
		p.wrap(text{"  ", plain}, fmt.Sprintf("%s in the last %s on this server: patchbay ctl outcomes --reason %s", times, seconds(r.Seconds), r.Reason))
	}
}
