package ctl

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// labelled is the column of names at the left of a page of facts.
const labelled = 11

// fact adds "  name      what is known of it", in groups that stay whole.
func (p *page) fact(name string, groups ...string) {
	for i := range groups {
		groups[i] = say.Clean(groups[i])
	}
	p.groups(text{"  " + pad(name, labelled, false), dim}, "   ", groups, plain)
}

// healthWord is what a state is called where it stands alone.
func healthWord(state string) string {
	if state == api.OK {
		return "OK"
	}
	return strings.ToUpper(state)
}

// Status draws one screen: is it us, and what is wrong now.
func (s Screen) Status(v api.Status) string {
	p := s.page(v.Time)
	p.line(text{v.Server, bold}, tell("   "), text{healthWord(v.Health), toneOf(v.Health)},
		tell("   patchbay "+v.Version+"   up "+seconds(v.UptimeSeconds)+"   "+p.stamp(v.Time)))
	p.say("")
	p.fact("state", readiness(v)...)
	p.fact("nodes", counts(v.Nodes)...)
	sessions := say.Number(v.Sessions)
	if v.Loading {
		sessions += ", and more that are still being read"
	}
	p.fact("sessions", sessions, "on "+say.Count(v.Links, "link"))
	p.fact("traffic", rate(v.Rates.Accepted)+"/s accepted", rate(v.Rates.Delivered)+"/s delivered", rate(v.Rates.NotDelivered)+"/s not delivered")
	p.fact("in flight", flights(v)...)
	p.fact("memory", memory(v.Memory)...)
	if v.Disk != nil {
		p.fact("disk", say.Size(v.Disk.FreeBytes)+" free", "at "+v.Disk.Path)
	} else {
		p.fact("disk", "none: what is kept ends with the process")
	}
	p.fact("listens", listens(v.Listen)...)
	p.fact("config", configuration(p, v.Config)...)
	p.say("")
	p.ledger(v.Ledger)
	p.wrong(v.Wrong)
	return p.String()
}

func readiness(v api.Status) []string {
	ready := "ready"
	if !v.Ready {
		ready = "not ready: /readyz says 503"
	}
	if v.Draining {
		ready = "draining: no new sessions"
	}
	view := "every user is known to be online or offline"
	if !v.ViewComplete {
		view = "not every user is known yet: stanzas to the others are held"
	}
	return []string{ready, view}
}

func counts(n api.NodeCounts) []string {
	if n == (api.NodeCounts{}) {
		return []string{"none"}
	}
	attached := say.Number(n.Attached) + " attached"
	if n.Draining > 0 {
		attached += " (" + say.Number(n.Draining) + " draining)"
	}
	words := []string{attached}
	if n.Away > 0 {
		words = append(words, say.Number(n.Away)+" away")
	}
	if n.Gone > 0 {
		words = append(words, say.Number(n.Gone)+" gone")
	}
	if n.Never > 0 {
		words = append(words, say.Number(n.Never)+" never seen")
	}
	return words
}

func flights(v api.Status) []string {
	words := []string{say.Count(v.Ledger.Waiting, "stanza")}
	if v.Memory.QueueBytes > 0 {
		words = append(words, say.Size(v.Memory.QueueBytes)+" in queues")
	}
	if v.Memory.UnprovedBytes > 0 {
		words = append(words, say.Size(v.Memory.UnprovedBytes)+" written and not proved")
	}
	if v.Held > 0 {
		words = append(words, say.Number(v.Held)+" held for users not yet known")
	}
	stored := v.Ledger.Stored
	if o := v.Outbox; o != nil && o.Stanzas > 0 {
		where := "an outbox"
		if o.Nodes != 1 {
			where = say.Number(o.Nodes) + " outboxes"
		}
		words = append(words, say.Number(o.Stanzas)+" in "+where+" ("+say.Size(o.Bytes)+")")
		stored -= min(stored, o.Stanzas)
	}
	if stored > 0 {
		words = append(words, say.Number(stored)+" stored for users who are offline")
	}
	return words
}

func memory(m api.Memory) []string {
	words := []string{say.Size(m.HeapBytes) + " heap"}
	if m.ResidentBytes > 0 {
		words = append([]string{say.Size(m.ResidentBytes) + " resident"}, words...)
	}
	if m.QueuesMax > 0 {
		words = append(words, say.Size(m.QueueBytes+m.UnprovedBytes)+" of "+say.Size(m.QueuesMax)+" in queues and windows")
	}
	return words
}

func listens(l api.Listen) []string {
	var words []string
	for _, at := range [][2]string{{"component", l.Component}, {"component_tls", l.ComponentTLS}, {"http", l.HTTP}, {"metrics", l.Metrics}} {
		if at[1] != "" {
			words = append(words, at[0]+" "+at[1])
		}
	}
	return words
}

func configuration(p *page, c api.ConfigFile) []string {
	if c.File == "" {
		return []string{"development server, without a file"}
	}
	words := []string{c.File}
	if len(c.SHA256) > 8 {
		words = append(words, "sha256 "+c.SHA256[:4]+"…"+c.SHA256[len(c.SHA256)-4:])
	}
	return append(words, "read "+p.when(c.LoadedAt))
}

// wrong adds what is wrong now, or that nothing is.
func (p *page) wrong(all []api.Finding) {
	if len(all) == 0 {
		p.line(text{"nothing is wrong", good})
		return
	}
	p.findings(all)
}

// ledger adds the account: what came in on the left, what became of it on the right. Terms of 0 are left out.
func (p *page) ledger(l api.Ledger) {
	side := func(terms []term, sign string) []string {
		var words []string
		for i, t := range terms {
			if t.n > 0 || i == 0 {
				words = append(words, t.word+" "+say.Number(t.n))
			}
		}
		for i := range words[1:] {
			words[i+1] = "+ " + words[i+1]
		}
		words[0] = sign + words[0]
		return words
	}
	words := side([]term{{"accepted", l.Accepted}, {"found", l.Found}, {"made", l.Made}, {"copies", l.Copies}}, "")
	words = append(words, side([]term{{"delivered", l.Delivered}, {"written", l.Written}, {"served", l.Served}, {"bounced", l.Bounced}, {"dropped", l.Dropped},
		{"expired", l.Expired}, {"in flight", l.Waiting}, {"stored", l.Stored}}, "= ")...)
	p.groups(text{}, " ", words, plain)
	switch {
	case l.Off == 0:
		p.line(text{"every stanza is accounted for", good})
	case l.Off > 0:
		p.wrap(text{"! ", warn}, say.Count(l.Off, "stanza")+" without an outcome: a few are between two counters while stanzas move; what stays off is a fault of the server, report it")
	default:
		p.wrap(text{"! ", warn}, say.Count(-l.Off, "outcome")+" without a stanza: a few are between two counters while stanzas move; what stays off is a fault of the server, report it")
	}
	if l.Untold > 0 {
		p.say(fmt.Sprintf("besides: %s of the server that no queue took", say.Count(l.Untold, "answer")))
	}
}

// term is one summand of the account.
type term struct {
	word string
	n    uint64
}

// orDash stands for what is not there.
func orDash(s string) string { return cmp.Or(s, "-") }
