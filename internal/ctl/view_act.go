package ctl

import (
	"fmt"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// Subject names what a drain is about.
func Subject(node string) string {
	if node == "" {
		return "the server"
	}
	return node
}

// Extent says how many sessions an act is about, for the question whether to do it; "" for none.
func Extent(sessions int) string {
	if sessions == 0 {
		return ""
	}
	return " (" + say.Count(sessions, "session") + ")"
}

// Drained says in one line how far a drain is.
func (s Screen) Drained(v api.Drained) string {
	p := s.page(time.Time{})
	name := text{Subject(v.Node) + " ", bold}
	switch {
	case !v.Draining:
		p.wrap(name, "takes new sessions")
	case v.Safe:
		p.groups(name, "   ", append([]string{"is drained: safe to stop"}, waits(v)...), plain)
	default:
		p.groups(name, "   ", append([]string{"is draining"}, waits(v)...), plain)
	}
	return p.String()
}

// waits words what is left of the target of a drain.
func waits(v api.Drained) []string {
	words := []string{say.Count(v.Sessions, "session")}
	where := "in its queue"
	if v.Node == "" {
		where = "in queues"
	}
	if v.Held > 0 {
		words = append(words, say.Number(v.Held)+" held for users not yet known")
	}
	switch {
	case v.Queue > 0:
		words = append(words, queued(v.Queue, v.QueueBytes, where))
	case v.Held == 0:
		return append(words, "nothing waits")
	}
	if v.OldestSecs > 0 {
		words = append(words, "the oldest for "+seconds(v.OldestSecs))
	}
	return words
}

func queued(stanzas, bytes uint64, where string) string {
	said := say.Count(stanzas, "stanza") + " " + where
	if bytes > 0 {
		said += " (" + say.Size(bytes) + ")"
	}
	return said
}

// Left names the nodes that keep a server which is drained, "" if there are none, or of a node: it is said already.
func (s Screen) Left(v api.Drained) string {
	p := s.page(time.Time{})
	for _, n := range v.Left {
		words := []string{n.State, say.Count(n.Sessions, "session")}
		if n.Queue > 0 {
			words = append(words, queued(n.Queue, n.QueueBytes, "in its queue"))
		}
		if n.OldestSecs > 0 {
			words = append(words, "the oldest for "+seconds(n.OldestSecs))
		}
		p.groups(text{"  " + n.Node + "   ", plain}, "   ", words, plain)
	}
	if more := v.LeftNodes - len(v.Left); more > 0 {
		p.say("  and " + say.Count(more, "more node"))
	}
	return p.String()
}

// Remains says in a clause what keeps a drain from its end.
func Remains(v api.Drained) string {
	var words []string
	if v.Sessions > 0 {
		words = append(words, say.Count(v.Sessions, "session"))
	}
	if n := v.Queue + v.Held; n > 0 {
		words = append(words, say.Count(n, "stanza"))
	}
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, " and ") + " left"
}

// Kicked says what a kick ended.
func (s Screen) Kicked(target string, v api.Kicked) string {
	var words []string
	if v.Sessions > 0 {
		words = append(words, say.Count(v.Sessions, "session"))
	}
	if v.Links > 0 {
		words = append(words, say.Count(v.Links, "link"))
	}
	if len(words) == 0 {
		words = []string{"nothing: there was no more of it"}
	}
	return say.Clean(target) + ": ended " + strings.Join(words, " and ") + "\n"
}

// Reloaded says what a reload has changed, and what waits for a restart.
func (s Screen) Reloaded(v api.Reloaded) string {
	p := s.page(v.File.LoadedAt)
	applied, later := 0, 0
	for _, c := range v.Changes {
		if c.Applied {
			applied++
		} else {
			later++
		}
	}
	head := v.File.File + ": "
	switch {
	case len(v.Changes) == 0:
		head += "nothing has changed"
	default:
		head += say.Count(applied, "change") + " applied"
		if later > 0 {
			head += ", " + say.Number(later) + " after a restart"
		}
	}
	p.say(head)
	for _, c := range v.Changes {
		mark := text{"  applied  ", good}
		if !c.Applied {
			mark = text{"  restart  ", warn}
		}
		p.wrap(mark, change(c))
	}
	for _, f := range v.Warnings {
		p.wrap(text{"  warning  ", warn}, oneFault(f))
	}
	return p.String()
}

// change writes one key: listen.http: "a" -> "b" (note).
func change(c api.Change) string {
	said := c.Path + ": "
	switch {
	case strings.HasSuffix(c.Path, "]"): // a whole node: added, or removed
		said += c.New
	case c.Old == "":
		said += "new: " + c.New
	case c.New == "":
		said += "taken out, it was " + c.Old
	default:
		said += c.Old + " -> " + c.New
	}
	if c.Note != "" {
		said += " (" + c.Note + ")"
	}
	return said
}

func oneFault(f api.Fault) string {
	said := f.Message
	if f.File != "" && f.Line > 0 {
		said = fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, said)
	}
	if f.Mend != "" {
		said += "; mend: " + f.Mend
	}
	return said
}

// Refused draws the faults of a configuration that was not applied, as the check prints them.
func (s Screen) Refused(err *api.Error) string {
	p := s.page(time.Time{})
	faults := 0
	for _, f := range err.Faults {
		if !f.Warning {
			faults++
		}
	}
	p.wrap(text{"not applied: ", bad}, say.Count(faults, "fault")+"; the configuration of before acts on")
	for _, f := range err.Faults {
		if f.Text == "" {
			p.wrap(tell("  "), oneFault(f))
			continue
		}
		for _, l := range strings.Split(strings.TrimRight(f.Text, "\n"), "\n") {
			p.say("  " + strings.TrimPrefix(l, "  "))
		}
	}
	return p.String()
}
