package ctl

import (
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// The grades of links that are not proved (routing.Grade).
const (
	gradeProbing = "probing"
	gradeWritten = "written"
)

// spilling is said of a node whose outbox takes what its queue has no room for.
const spilling = "spilling"

var nodeColumns = []column{
	{head: "NODE", cut: 12},
	{head: "STATE"},
	{head: "LINKS", drop: 5},
	{head: "SESSIONS", right: true},
	{head: "GRADE", drop: 2},
	{head: "IN/s", right: true, drop: 3},
	{head: "OUT/s", right: true, drop: 4},
	{head: "QUEUE", right: true},
	{head: "OLDEST"},
	{head: "OUTBOX", right: true, drop: 1},
	{head: "STANZAS", right: true, wide: true, drop: 6},
	{head: "IN", right: true, wide: true, drop: 7},
	{head: "OUT", right: true, wide: true, drop: 8},
	{head: "TAKES", wide: true, drop: 9},
	{head: "SINCE"},
}

// Nodes draws every node, and what is wrong with them below.
func (s Screen) Nodes(v api.Nodes) string {
	p := s.page(v.Time)
	if len(v.Nodes) == 0 {
		p.wrap(text{}, "no node is known: one attaches with patchbay node DOMAIN, or as patchbay help node shows")
		p.findings(v.Wrong)
		return p.String()
	}
	p.nodes(v.Nodes, v.Wrong)
	p.say("")
	sessions := 0
	for _, n := range v.Nodes {
		sessions += n.Sessions
	}
	p.say(say.Count(len(v.Nodes), "node") + ", " + say.Count(sessions, "session") + ".")
	p.findings(v.Wrong)
	p.grades(v.Nodes)
	return p.String()
}

// grades says of which nodes it is not proved what they read, and why; and whose outbox takes what they do not.
func (p *page) grades(nodes []api.Node) {
	of := map[string][]string{}
	for _, n := range nodes {
		if n.Links > 0 {
			of[n.Grade] = append(of[n.Grade], n.Domain)
		}
		if n.Spilling {
			of[spilling] = append(of[spilling], n.Domain)
		}
	}
	if who := of[spilling]; len(who) > 0 {
		p.wrap(text{spilling + ": ", warn}, several(who)+": what comes faster than it is read goes to disk, into the outbox")
	}
	if who := of[gradeWritten]; len(who) == 1 {
		p.wrap(text{gradeWritten + ": ", dim}, who[0]+" answers no pings, so nothing proves that it read (patchbay help ops#grades)")
	} else if len(who) > 1 {
		p.wrap(text{gradeWritten + ": ", dim}, several(who)+" answer no pings, so nothing proves that they read (patchbay help ops#grades)")
	}
	if who := of[gradeProbing]; len(who) > 0 {
		p.wrap(text{gradeProbing + ": ", dim}, several(who)+": whether pings are answered is not known yet")
	}
}

// several names nodes, the first three of many.
func several(names []string) string {
	const most = 3
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + " and " + say.Number(more) + " more"
	}
	return strings.Join(names, ", ")
}

func (p *page) nodes(nodes []api.Node, wrong []api.Finding) {
	t := table{columns: nodeColumns}
	for _, n := range nodes {
		worst := plain
		for _, f := range wrong {
			if f.Node == n.Domain {
				worst = max(worst, toneOf(f.State))
			}
		}
		state, oldest := text{n.State, stateTone(n.State)}, tell("-")
		if n.OldestSecs > 0 {
			oldest.s = seconds(n.OldestSecs)
		}
		if worst > good { // the mark stands where the cause is seen first
			at := &state
			if n.OldestSecs > 0 {
				at = &oldest
			}
			at.s, at.t = at.s+" !", worst
		}
		t.add(tell(n.Domain), state, tell(fmt.Sprintf("%d/%d", n.Links, n.LinksMax)), tell(say.Number(n.Sessions)), tell(orDash(n.Grade)),
			tell(rate(n.InPerSec)), tell(rate(n.OutPerSec)), tell(queueOf(n)), oldest, outbox(n), tell(say.Number(n.Queue)),
			tell(say.Number(n.In)), tell(say.Number(n.Out)), tell(orDash(strings.Join(n.Takes, ","))), tell(p.since(n.Since)))
	}
	p.table(t, 0)
}

// queueOf is what waits in memory; a node without a link has all of it in its outbox, where there is one.
func queueOf(n api.Node) string {
	if n.Links == 0 && n.QueueBytes == 0 {
		return "-"
	}
	return say.Size(n.QueueBytes)
}

// outbox is what waits on disk.
func outbox(n api.Node) text {
	switch {
	case n.OutboxMax == 0 && n.OutboxBytes == 0:
		return tell("-")
	case n.Spilling:
		return text{say.Size(n.OutboxBytes), warn} // page.grades says it in words
	}
	return tell(say.Size(n.OutboxBytes))
}

func stateTone(state string) tone {
	switch state {
	case api.StateAttached:
		return good
	case api.StateDraining:
		return warn
	case api.StateNever:
		return dim
	}
	return bad
}

// Node draws one node.
func (s Screen) Node(v api.Nodes) string {
	p := s.page(v.Time)
	for i, n := range v.Nodes {
		if i > 0 {
			p.say("")
		}
		head := "   " + n.State
		if !n.Since.IsZero() {
			if n.State == api.StateDraining {
				head += ", attached" // what is told is since when it has a link
			}
			head += " since " + p.since(n.Since) + " (" + say.Span(v.Time.Sub(n.Since)) + ")"
		}
		p.line(text{n.Domain, bold}, text{head, stateTone(n.State)})
		p.fact("links", fmt.Sprintf("%d of %d", n.Links, n.LinksMax))
		p.fact("sessions", sessionsOf(n, p)...)
		p.fact("grade", gradeOf(n)...)
		p.fact("from it", rate(n.InPerSec)+"/s", say.Number(n.In)+" since the start")
		p.fact("to it", rate(n.OutPerSec)+"/s", say.Number(n.Out)+" since the start")
		queue := []string{say.Count(n.Queue, "stanza"), say.Size(n.QueueBytes) + " of " + say.Size(n.QueueMax)}
		if n.OldestSecs > 0 {
			queue = append(queue, "the oldest waits for "+seconds(n.OldestSecs))
		}
		p.fact("queue", queue...)
		p.fact("unproved", unproved(n)...)
		p.fact("outbox", outboxOf(n)...)
		p.fact("takes", orDash(strings.Join(n.Takes, ", ")))
	}
	p.say("")
	p.wrong(v.Wrong)
	return p.String()
}

// gradeOf says what the grade promises.
func gradeOf(n api.Node) []string {
	switch n.Grade {
	case "":
		return []string{"-"}
	case gradeProbing:
		return []string{n.Grade, "whether it answers pings is not known yet"}
	case gradeWritten:
		return []string{n.Grade, "it answers no pings, so nothing proves that it read"}
	}
	return []string{n.Grade, "a stanza is kept until the node's library has read it"}
}

func unproved(n api.Node) []string {
	if n.Window == 0 && n.Unproved == 0 {
		return []string{"-"}
	}
	words := []string{say.Count(n.Unproved, "stanza")}
	if n.Window == 0 {
		return append(words, say.Size(n.UnprovedBytes)+", which are written again after a drop")
	}
	return append(words, say.Size(n.UnprovedBytes)+" of a window of "+say.Size(n.Window))
}

func outboxOf(n api.Node) []string {
	if n.OutboxMax == 0 && n.OutboxBytes == 0 {
		return []string{"none: nothing is kept on disk"}
	}
	words := []string{say.Count(n.Outbox, "stanza"), say.Size(n.OutboxBytes) + " of " + say.Size(n.OutboxMax)}
	if n.Spilling {
		words = append(words, spilling+": it reads too slowly, and what comes for it goes there")
	}
	return words
}

func sessionsOf(n api.Node, p *page) []string {
	words := []string{say.Number(n.Sessions)}
	if n.Confirming {
		words = append(words, "it is back, and has not confirmed them yet")
	}
	if n.GraceEndsAt != nil {
		words = append(words, "they end in "+say.Span(n.GraceEndsAt.Sub(p.now))+", with its grace")
	}
	return words
}

var linkColumns = []column{
	{head: "LINK", right: true},
	{head: "NODE", cut: 12},
	{head: "PEER", cut: 12},
	{head: "TLS", drop: 1},
	{head: "STATE"},
	{head: "GRADE", drop: 2},
	{head: "AUTH", wide: true},
	{head: "IN", right: true, drop: 3},
	{head: "SINCE"},
}

var closedColumns = []column{
	{head: "ENDED"},
	{head: "LINK", right: true, drop: 2},
	{head: "NODE", cut: 12},
	{head: "PEER", cut: 12},
	{head: "TLS", drop: 1},
	{head: "STATE"},
	{head: "REASON"},
	{head: "IN", right: true, wide: true},
	{head: "LASTED", drop: 3},
}

// Links draws each stream, or those that ended and why.
func (s Screen) Links(v api.Links) string {
	if v.Closed {
		return s.closed(v)
	}
	p := s.page(v.Time)
	if len(v.Links) == 0 {
		p.say("no stream is open; those that ended or were refused: patchbay ctl links --closed")
		return p.String()
	}
	t := table{columns: linkColumns}
	for _, l := range v.Links {
		t.add(tell(linkID(l)), tell(orDash(l.Node)), tell(l.Peer), tell(secured(l)), tell(l.State), tell(orDash(l.Grade)),
			tell(orDash(l.Auth)), tell(say.Number(l.In)), tell(p.since(l.Since)))
	}
	p.table(t, 0)
	p.say("")
	p.say(say.Count(len(v.Links), "stream") + ".")
	return p.String()
}

// closed draws streams that ended. The text of each, which tells cause and mend, is below its row.
func (s Screen) closed(v api.Links) string {
	p := s.page(v.Time)
	if len(v.Links) == 0 {
		p.say("no stream has ended or was refused since the server's start")
		return p.String()
	}
	t := table{columns: closedColumns}
	for _, l := range v.Links {
		ended, lasted := "-", "-"
		if l.EndedAt != nil {
			ended, lasted = p.when(*l.EndedAt), say.Span(l.EndedAt.Sub(l.Since))
		}
		state := text{l.State, plain}
		if l.State == "refused" {
			state.t = bad
		}
		t.add(tell(ended), tell(linkID(l)), tell(orDash(l.Node)), tell(l.Peer), tell(secured(l)), state, tell(orDash(l.Reason)),
			tell(say.Number(l.In)), tell(lasted))
	}
	drawn := s.page(v.Time)
	drawn.table(t, 0)
	lines := strings.Split(strings.TrimSuffix(drawn.String(), "\n"), "\n")
	p.b.WriteString(lines[0] + "\n")
	for i, l := range v.Links {
		p.b.WriteString(lines[i+1] + "\n")
		said := l.Text
		if l.Count > 1 {
			said = strings.TrimSuffix(say.Number(l.Count)+" times since "+p.stamp(l.Since)+"; "+said, "; ")
		}
		if said != "" {
			p.wrap(tell("          "), said)
		}
		if l.Mend != "" {
			p.wrap(text{"          mend: ", dim}, l.Mend)
		}
	}
	return p.String()
}

func linkID(l api.Link) string {
	if l.ID == 0 {
		return "-"
	}
	return fmt.Sprint(l.ID)
}

// secured is the version of TLS, or whether there is any.
func secured(l api.Link) string {
	if v, ok := strings.CutPrefix(l.Secure, "TLS "); ok {
		return v
	}
	return yesNo(l.TLS)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
