package routing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

// header scans one stanza as a component link would send it.
func header(t testing.TB, raw string) *stanza.Header {
	t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	h := &stanza.Header{}
	if _, _, err := sc.Next([]byte(rootTag), h); err != nil {
		t.Fatal(err)
	}
	tok, _, err := sc.Next([]byte(raw), h)
	if err != nil || tok != stanza.Element {
		t.Fatalf("%s: %v %v", raw, tok, err)
	}
	return h
}

var (
	node1 = &Node{Domain: "node1"}
	node2 = &Node{Domain: "node2"}
)

// sessions reads "node1:5 node2:-1! node1:0~": node, priority, ! exact, ~ its node is away.
func sessions(s string) []Candidate {
	var all []Candidate
	for _, f := range strings.Fields(s) {
		c := Candidate{State: Attached}
		if strings.HasSuffix(f, "~") {
			c.State, f = Away, strings.TrimSuffix(f, "~")
		}
		if strings.HasSuffix(f, "!") {
			c.Exact, f = true, strings.TrimSuffix(f, "!")
		}
		name, prio, _ := strings.Cut(f, ":")
		c.Node = map[string]*Node{"node1": node1, "node2": node2}[name]
		_, _ = fmt.Sscan(prio, &c.Priority)
		all = append(all, c)
	}
	return all
}

// words shows a verdict: "4 deliver node1 node2~", "5 bounce no-session".
func words(v Verdict) string {
	out := fmt.Sprintf("%d %s", v.Row, v.Action)
	if v.Action == Bounce || v.Action == Drop {
		return out + " " + v.Reason.String()
	}
	for _, t := range v.Targets {
		out += " " + t.Node.Domain
		if t.Outbox {
			out += "~"
		}
	}
	return out
}

var stanzas = map[string]string{
	"chat":       "<message type='chat'/>",
	"normal":     "<message/>",
	"odd":        "<message type='sideways'/>",
	"groupchat":  "<message type='groupchat'/>",
	"headline":   "<message type='headline'/>",
	"merror":     "<message type='error'/>",
	"presence":   "<presence/>",
	"gone":       "<presence type='unavailable'/>",
	"probe":      "<presence type='probe'/>",
	"subscribe":  "<presence type='subscribe'/>",
	"perror":     "<presence type='error'/>",
	"get":        "<iq type='get' id='1'><x xmlns='y'/></iq>",
	"set":        "<iq type='set' id='1'><x xmlns='y'/></iq>",
	"result":     "<iq type='result' id='1'/>",
	"ierror":     "<iq type='error' id='1'><error/></iq>",
	"no id":      "<iq type='get'><x xmlns='y'/></iq>",
	"no child":   "<iq type='get' id='1'/>",
	"2 children": "<iq type='set' id='1'><x xmlns='y'/><x xmlns='y'/></iq>",
	"bad type":   "<iq type='bogus' id='1'><x xmlns='y'/></iq>",
	"no type":    "<iq id='1'><x xmlns='y'/></iq>",
	"2 results":  "<iq type='result' id='1'><x xmlns='y'/><x xmlns='y'/></iq>",
	"no error":   "<iq type='error' id='1'/>",
}

// The rows of design 3, by the stanza's kind (RFC 6121 8.5).
func TestDecide(t *testing.T) {
	bare := View{Place: PlaceUsers, Local: true, Complete: true}
	full := View{Place: PlaceUsers, Local: true, Resource: true, Complete: true}
	with := func(v View, s string) View { v.Sessions = sessions(s); return v }
	unknown := func(v View) View { v.Complete = false; return v }
	discard := func(v View) View { v.Offline = PolicyDiscard; return v }
	node := func(s NodeState) View { return View{Place: PlaceNode, Node: node1, State: s} }
	for _, c := range []struct {
		name, stanza string
		v            View
		want         string
	}{
		{"H01", "no id", node(Attached), "0 bounce bad-stanza"},
		{"H03", "no child", node(Attached), "0 bounce bad-stanza"},
		{"H03", "2 children", node(Attached), "0 bounce bad-stanza"},
		{"H02", "bad type", node(Attached), "0 bounce bad-stanza"},
		{"H02", "no type", node(Attached), "0 bounce bad-stanza"},
		{"H04 H07", "2 results", node(Attached), "0 drop bad-reply"},
		{"H05 H11", "no error", node(Attached), "0 drop bad-reply"},

		{"G01", "chat", View{Place: PlaceNone}, "1 bounce no-to"},
		{"F09", "chat", View{Place: PlaceMalformed}, "1 bounce bad-to"},
		{"H11", "merror", View{Place: PlaceMalformed}, "1 drop error-to-nobody"},

		{"server", "get", View{Place: PlaceServer}, "2 serve"},
		{"server resource", "get", View{Place: PlaceServer, Local: true, Resource: true}, "2 serve"},
		{"announce", "presence", View{Place: PlaceUsers}, "2 serve"},
		{"domain resource", "get", View{Place: PlaceUsers, Resource: true}, "2 bounce server-resource"},
		{"domain resource", "result", View{Place: PlaceUsers, Resource: true}, "2 drop result-to-nobody"},

		{"I06", "chat", node(Attached), "3 deliver node1"},
		{"I06", "get", node(Attached), "3 deliver node1"},
		{"away", "chat", node(Away), "3 deliver node1~"},
		{"away", "presence", node(Away), "3 deliver node1~"},
		{"away", "result", node(Away), "3 deliver node1~"},
		{"away", "get", node(Away), "3 bounce node-away"},
		{"I04", "chat", node(Past), "3 bounce node-unreachable"},
		{"I04", "result", node(Past), "3 drop result-to-nobody"},
		{"never seen", "chat", node(Never), "6 bounce no-route"},

		{"I13", "chat", with(full, "node1:0!"), "4 deliver node1"},
		{"I13", "normal", with(full, "node1:-5!"), "4 deliver node1"},
		{"I13", "groupchat", with(full, "node1:0!"), "4 deliver node1"},
		{"I13", "headline", with(full, "node1:0!"), "4 deliver node1"},
		{"I13", "merror", with(full, "node1:0!"), "4 deliver node1"},
		{"I13", "presence", with(full, "node1:0!"), "4 deliver node1"},
		{"I13", "get", with(full, "node1:0!"), "4 deliver node1"},
		{"I13", "ierror", with(full, "node1:0!"), "4 deliver node1"},
		{"away", "chat", with(full, "node1:0!~"), "4 deliver node1~"},
		{"away", "get", with(full, "node1:0!~"), "4 bounce node-away"},
		{"away", "result", with(full, "node1:0!~"), "4 deliver node1~"},

		{"I08", "chat", with(bare, "node1:0 node2:5"), "4 deliver node1 node2"},
		{"one copy a node", "chat", with(bare, "node1:0 node1:5"), "4 deliver node1"},
		{"I08 negative", "chat", with(bare, "node1:-1 node2:5"), "4 deliver node2"},
		{"I08 away", "chat", with(bare, "node1:1~ node2:5"), "4 deliver node1~ node2"},
		{"I08 normal", "normal", with(bare, "node1:0"), "4 deliver node1"},
		{"I17", "odd", with(bare, "node1:0"), "4 deliver node1"},
		{"I08 headline", "headline", with(bare, "node1:0 node2:-1"), "4 deliver node1"},
		{"I08 groupchat", "groupchat", with(bare, "node1:0"), "5 bounce groupchat-to-bare"},
		{"I08 error", "merror", with(bare, "node1:0"), "5 drop error-to-nobody"},
		{"I09", "presence", with(bare, "node1:0 node2:-1"), "4 deliver node1 node2"},
		{"I09", "gone", with(bare, "node1:0"), "4 deliver node1"},
		{"I18", "probe", with(bare, "node2:0"), "4 deliver node2"},
		{"I09", "subscribe", with(bare, "node2:0"), "4 deliver node2"},
		{"I10", "get", with(bare, "node1:0"), "4 serve"},
		{"I10", "result", with(bare, "node1:0"), "5 drop result-to-nobody"},

		{"I14", "chat", with(full, "node1:0 node2:-1"), "4 deliver node1"},
		{"I14", "normal", with(full, "node1:0"), "5 bounce session-gone"},
		{"I14", "groupchat", with(full, "node1:0"), "5 bounce session-gone"},
		{"I14", "headline", with(full, "node1:0"), "5 bounce session-gone"},
		{"I14", "merror", with(full, "node1:0"), "5 drop error-to-nobody"},
		{"I15", "presence", with(full, "node1:0"), "5 drop presence-to-nobody"},
		{"I16", "get", with(full, "node1:0"), "5 bounce session-gone"},

		{"I11", "chat", bare, "5 bounce no-session"},
		{"I11", "normal", bare, "5 bounce no-session"},
		{"I11", "chat", with(bare, "node1:-1"), "5 bounce no-session"},
		{"I11 full", "chat", full, "5 bounce no-session"},
		{"I11", "headline", bare, "5 drop headline-to-nobody"},
		{"I11", "groupchat", bare, "5 bounce groupchat-to-bare"},
		{"I12", "presence", bare, "5 drop presence-to-nobody"},
		{"I07", "get", bare, "5 bounce session-gone"},
		{"discard", "chat", discard(bare), "5 drop offline-discard"},
		{"discard", "groupchat", discard(bare), "5 bounce groupchat-to-bare"},

		{"unknown", "chat", unknown(bare), "5 hold"},
		{"unknown", "get", unknown(full), "5 hold"},
		{"unknown", "presence", unknown(bare), "5 hold"},
		{"unknown", "merror", unknown(full), "5 hold"},
		{"unknown, others known", "normal", unknown(with(full, "node1:0")), "5 hold"},
		{"hit in an incomplete view", "chat", unknown(with(bare, "node1:0")), "4 deliver node1"},
		{"refused in any view", "groupchat", unknown(bare), "5 bounce groupchat-to-bare"},

		{"I03", "chat", View{Place: PlaceOther}, "6 bounce no-route"},
		{"I03", "ierror", View{Place: PlaceOther}, "6 drop error-to-nobody"},
	} {
		h := header(t, stanzas[c.stanza])
		if got := words(Decide(h, &c.v)); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.name, c.stanza, got, c.want)
		}
	}
}

// Nothing that must not be answered is ever answered (S25, H07, H11), whatever the view.
func TestDecideNeverAnswersErrors(t *testing.T) {
	for _, name := range []string{"merror", "perror", "result", "ierror", "2 results", "no error"} {
		h := header(t, stanzas[name])
		for place := PlaceNone; place <= PlaceOther; place++ {
			for bits := range 32 {
				v := View{Place: place, Local: bits&1 != 0, Resource: bits&2 != 0, Complete: bits&4 != 0,
					Node: node1, State: NodeState(bits >> 3)}
				if got := Decide(h, &v); got.Action == Bounce {
					t.Errorf("%s bounced in %+v", name, v)
				}
			}
		}
	}
}

func TestReasonsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasons {
		w := r.String()
		if w == "" || seen[w] {
			t.Errorf("reason %d has no word of its own: %q", r, w)
		}
		seen[w] = true
		if e := r.StanzaError(); (r.Outcome() == Bounced || r.Outcome() == Expired) != (e.Condition != "" && e.Text != "") {
			t.Errorf("%s: what is answered, and only that, has an error with a text: %+v", w, e)
		}
	}
}
