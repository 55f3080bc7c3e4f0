package ctl

import (
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

var sessionColumns = []column{
	{head: "JID", cut: 16},
	{head: "NODE", cut: 12},
	{head: "SERVER", wide: true, cut: 12},
	{head: "STATE", drop: 2},
	{head: "PRIO", right: true, drop: 1},
	{head: "SINCE"},
}

// Sessions draws sessions, and says how many more there are.
func (s Screen) Sessions(v api.Sessions) string {
	p := s.page(v.Time)
	grows := ""
	if v.Loading {
		grows = " so far: those of before are still being read"
	}
	if len(v.Sessions) == 0 {
		p.say(say.Count(v.Count, "session") + grows)
		return p.String()
	}
	p.sessions(v.Sessions, sessionColumns, func(x api.Session) string { return x.JID })
	p.say("")
	if v.Count > len(v.Sessions) {
		p.say(fmt.Sprintf("%s of %s%s; more: --limit N", say.Number(len(v.Sessions)), say.Count(v.Count, "session"), grows))
	} else {
		p.say(say.Count(v.Count, "session") + grows + ".")
	}
	return p.String()
}

func (p *page) sessions(all []api.Session, columns []column, name func(api.Session) string) {
	t := table{columns: columns}
	for _, x := range all {
		t.add(tell(name(x)), tell(x.Node), tell(x.Server), text{x.State, stateTone(x.State)}, tell(fmt.Sprint(x.Priority)), tell(p.since(x.Since)))
	}
	p.table(t, 0)
}

// answers are the four answers of a look-up, in words.
var answers = map[string]text{
	"online":  {"online", good},
	"away":    {"away: its node may come back, stanzas wait for it", warn},
	"unknown": {"not known yet: nodes of before a restart may still come back, stanzas are held", warn},
	"offline": {"offline", dim},
}

// Where draws all that is known of one user.
func (s Screen) Where(v api.Where) string {
	p := s.page(v.Time)
	said, ok := answers[v.Answer]
	if !ok {
		said = text{v.Answer, plain}
	}
	p.line(text{v.JID, bold}, tell(" is "), said)
	if len(v.Sessions) > 0 {
		p.say("")
		columns := append([]column{{head: "RESOURCE", cut: 10}}, sessionColumns[1:]...)
		p.sessions(v.Sessions, columns, func(x api.Session) string { return resource(x.JID) })
	}
	if len(v.Ended) > 0 {
		p.say("")
		t := table{columns: []column{{head: "ENDED", cut: 10}, {head: "NODE", cut: 12}, {head: "LASTED"}, {head: "AT"}, {head: "WHY"}}}
		for _, x := range v.Ended {
			t.add(tell(resource(x.JID)), tell(x.Node), tell(say.Span(x.EndedAt.Sub(x.Since))), tell(p.when(x.EndedAt)), tell(ending(x.Why)))
		}
		p.table(t, 0)
	}
	if v.Stored > 0 {
		p.say("")
		wait := " waits"
		if v.Stored > 1 {
			wait = " wait"
		}
		p.say(say.Count(v.Stored, "message") + wait + " for the log-in")
	}
	return p.String()
}

// resource is what follows the bare address, with its slash; an address without one is shown whole.
func resource(jid string) string {
	if i := strings.IndexByte(jid, '/'); i >= 0 {
		return jid[i:]
	}
	return jid
}

// endings say why a session is no more.
var endings = map[string]string{
	"withdrawn":   "logged out",
	"replaced":    "another node has it now",
	"unconfirmed": "its node came back without it",
	"node-left":   "its node left, and its grace passed",
	"kicked":      "kicked",
}

func ending(why string) string {
	if said, ok := endings[why]; ok {
		return said
	}
	return why
}
