package routing

import (
	"fmt"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// questions are the rows of design 3, as far as one server has them.
var questions = [...]string{
	"it breaks the rules of its kind",
	"address malformed",
	"the server itself or a user domain",
	"a node's domain",
	"a user with an eligible session",
	"user domain, nobody eligible",
	"another domain",
}

// rows tells the questions up to the one that matched.
func (x *explaining) rows(v Verdict) {
	for i := min(1, v.Row); i <= v.Row; i++ {
		row := ExplainedRow{Row: int(i), Question: questions[i], Matched: i == v.Row}
		if row.Matched {
			row.Why = x.rowWords(v)
		}
		x.Rows = append(x.Rows, row)
	}
}

// rowWords says why a row matched.
func (x *explaining) rowWords(v Verdict) string {
	view := &x.w.view
	switch v.Row {
	case 0:
		return "RFC 6120 8.2.3: id, type and children of an iq"
	case 1:
		if view.Place == PlaceNone {
			return "XEP-0114: on a component link each stanza needs a to"
		}
		return "RFC 7622: to is no address"
	case 2:
		switch {
		case view.Place == PlaceServer:
			return "RFC 6120 10.5: the server's own domain"
		case view.Resource:
			return "RFC 6120 10.5.2: a user domain has no resources"
		}
		return "RFC 6120 10.5.1: the user domain itself"
	case 3:
		return x.place(view.Node)
	case 4:
		return x.eligibleWords()
	case 5:
		return x.nobodyWords(v)
	}
	return "RFC 6120 10.4: federation is off"
}

// section is where RFC 6121 treats a stanza of this kind and form of address.
func (x *explaining) section(found bool) string {
	form := map[[2]bool]string{{false, true}: "8.5.2.1", {false, false}: "8.5.2.2", {true, true}: "8.5.3.1", {true, false}: "8.5.3.2"}
	view := &x.w.view
	exact := len(view.Sessions) > 0 && view.Sessions[0].Exact
	section := "RFC 6121 " + form[[2]bool{view.Resource, found && (exact || !view.Resource)}]
	if exact {
		return section
	}
	return section + map[stanza.Kind]string{stanza.Message: ".1", stanza.Presence: ".2", stanza.IQ: ".3"}[x.it.h.Kind]
}

// eligibleWords is about row 4.
func (x *explaining) eligibleWords() string {
	view := &x.w.view
	section := x.section(true)
	least, _ := reach(&x.it.h, view.Resource)
	switch {
	case len(view.Sessions) > 0 && view.Sessions[0].Exact:
		return section + ": full, that session alone"
	case request(&x.it.h):
		return section + ": bare, the server answers for the account"
	case view.Resource:
		return section + ": the resource is gone, chat goes to every session of priority >= 0"
	case least < 0:
		return section + ": bare, every session"
	}
	return section + ": bare, every session of priority >= 0"
}

// nobodyWords is about row 5.
func (x *explaining) nobodyWords(v Verdict) string {
	view := &x.w.view
	policy := [...]string{PolicyBounce: "bounce", PolicyDiscard: "discard", PolicyStore: "store", PolicyForward: "forward"}[view.Offline]
	switch {
	case v.Action == Hold:
		return "view not complete: nodes of before the restart may still come back"
	case nobody(&x.it.h, view.Resource) == NoSession:
		return fmt.Sprintf("view complete: offline policy of %s: %s", x.it.user.Name, policy)
	case view.Resource:
		return x.section(false) + ": no session with this resource"
	}
	return x.section(false) + ": " + strings.ReplaceAll(v.Reason.String(), "-", " ")
}

// sentence says what becomes of the stanza, behind the action and a colon.
func (x *explaining) sentence(v Verdict) string {
	switch v.Action {
	case Deliver:
		return x.deliverWords(v)
	case Serve, FanOut:
		return x.serveWords()
	case Store:
		return "kept here until " + string(x.it.to.Bare()) + " logs in, and sent then, before anything newer"
	case Hold:
		return fmt.Sprintf("it is not known yet whether %s has a session; it waits for at most %s, then it is %s", x.it.to.Bare(),
			x.r.set().Settle, x.lateWords())
	case Bounce:
		return x.bounceWords(v.Reason)
	}
	return strings.TrimPrefix(dropWords(v.Reason), "drop: ")
}

// lateWords says what becomes of a held stanza when the time is up.
func (x *explaining) lateWords() string {
	known := x.w.view // as redo.decideLate does
	known.targets, known.Complete, known.Hint = nil, true, hintOf(&x.it.h, nil)
	switch {
	case Decide(&x.it.h, &known).Action == Store:
		return "stored"
	case x.it.h.Kind == stanza.Presence || !x.it.h.Answerable():
		return "dropped"
	}
	return "answered with wait/remote-server-timeout, never <offline/>"
}

func (x *explaining) deliverWords(v Verdict) string {
	if v.Row == 5 {
		return "forwarded as it is (offline.forward_to), " + x.place(v.Targets[0].Node)
	}
	if len(v.Targets) == 1 {
		n := v.Targets[0].Node
		switch {
		case v.Targets[0].Outbox:
			return "it waits, " + x.place(n)
		case n.Draining():
			return n.Domain + " is drained, its sessions still get stanzas, new sessions are refused"
		}
		return "1 copy, to " + n.Domain + ", to unchanged"
	}
	words := fmt.Sprintf("%d copies, one per node, to unchanged", len(v.Targets))
	for _, t := range v.Targets {
		if t.Outbox {
			words += "; one waits, " + x.place(t.Node)
		}
	}
	return words
}

func (x *explaining) serveWords() string {
	h, to := &x.it.h, x.it.to.String()
	bare := x.it.place == PlaceUsers && len(x.it.to.Local()) == 0
	switch {
	case h.Kind == stanza.Message && bare:
		return "the server takes it only with XEP-0033 addresses, and sends it to each of them; without it answers cancel/service-unavailable"
	case h.Kind == stanza.Message:
		return "the server takes no messages, and answers cancel/service-unavailable"
	case h.Kind == stanza.Presence && bare && h.Type == stanza.TypeNone:
		return fmt.Sprintf("the server takes it as the announce of %s on %s, if that is a full address of %s, granted to the node, which is not drained",
			x.it.from, x.Origin.Node, to)
	case h.Kind == stanza.Presence && bare && h.Type == stanza.TypeUnavailable:
		return fmt.Sprintf("the server takes it as the withdraw of %s on %s", x.it.from, x.Origin.Node)
	case h.Kind == stanza.Presence:
		return "the server keeps no rosters, and drops it"
	case !request(h):
		return "the server takes it as an answer"
	case x.it.place == PlaceUsers && !bare:
		return "the server answers ping and disco#info for " + to + ", and any other iq with cancel/service-unavailable"
	}
	return "the server answers what disco#info of " + to + " lists, and any other iq with cancel/service-unavailable"
}

func (x *explaining) bounceWords(why Reason) string {
	e := why.StanzaError()
	condition := e.Type + "/" + e.Condition
	switch {
	case why == NoRoute:
		return condition + ", " + string(x.it.to.Domain()) + " is no node, no user domain, federation is off"
	case e.App == offlineMark && why == NoSession:
		return x.Origin.Node + " gets " + condition + " with <offline/> and treats the message it saved as an offline message"
	case why == NodeAway:
		return fmt.Sprintf("%s gets %s, an iq is not kept: %s", x.Origin.Node, condition, x.place(x.targetNode()))
	case why == NodeUnknown:
		return fmt.Sprintf("%s gets %s, %s", x.Origin.Node, condition, x.place(x.targetNode()))
	}
	return fmt.Sprintf("%s gets %s: %s", x.Origin.Node, condition, expand(e.Text, x.it.to))
}

// targetNode gives the node that has what the stanza is for: row 3, and the session that the address names.
func (x *explaining) targetNode() *Node {
	if x.it.place == PlaceNode {
		return x.w.view.Node
	}
	return x.w.view.Sessions[0].Node
}

// dropWords says why a stanza ends without an answer.
func dropWords(why Reason) string {
	return "drop: " + why.String() + ": " + strings.ReplaceAll(reasonDocs[why].means, "`", "")
}

// place says where a node is, and what waits for it.
func (x *explaining) place(n *Node) string {
	since := " since " + x.clock(n.Since())
	switch state := n.State(); {
	case state == Attached && n.Draining():
		return n.Domain + " is drained"
	case state == Attached:
		return n.Domain + " is attached"
	case state == Past && n.ID() == 0:
		return n.Domain + " is configured, and has not been attached yet"
	case state == Past:
		return n.Domain + " is gone" + since
	case state == Never:
		return n.Domain + " was never attached"
	}
	words := fmt.Sprintf("%s is away%s, %s", n.Domain, since, plural(n.queue.stats().Waiting, "stanza waits", "stanzas wait"))
	if rec, ok := x.r.sessions.Node(n.ID()); ok && !rec.Until.IsZero() {
		words += fmt.Sprintf(", grace ends in %d s", max(0, int(rec.Until.Sub(x.now)/time.Second)))
	}
	return words
}

// clock shows a time of this day, or with the date.
func (x *explaining) clock(t time.Time) string {
	if x.now.Sub(t) < 24*time.Hour {
		return t.UTC().Format("15:04:05") + " UTC"
	}
	return t.UTC().Format("2006-01-02 15:04") + " UTC"
}

// plural gives a number with its noun.
func plural(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
