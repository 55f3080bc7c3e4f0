package routing

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// Query is a stanza that somebody could send. What it says may break the rules: the Explanation tells.
type Query struct {
	From, To string // as a person writes them; "" leaves the attribute out
	Kind     string // message, iq or presence; "" is message
	Type     string // "" leaves it out; of an iq it is get
	ID       string // "" is one that nobody has used
	At       string // domain of the node that would send it; "": of one that may use From
}

// Explanation is what would become of a stanza, and why, as far as can be said at this moment.
type Explanation struct {
	Kind, Type string // as on the wire; a message without a type is normal
	From, To   string

	Origin   ExplainedOrigin
	Rows     []ExplainedRow     // the questions of Decide up to the one that is answered with yes
	Sessions []ExplainedSession // of the user in To, by resource
	Ended    []ExplainedEnd     // sessions that the user had, newest first, at most 3
	Verdict  ExplainedVerdict
	Notes    []ExplainedNote // what stands in the verdict's way
}

// ExplainedOrigin is the node that would send the stanza.
type ExplainedOrigin struct {
	Node    string // its domain; "" if no node may use From
	State   string
	Allowed bool
	Why     string // goes on behind From: "is on node1.im.example, whose link may speak for im.example"
}

// ExplainedRow is one question of the table of design 3. Row 0 is about the stanza alone, and is told only if it matches.
type ExplainedRow struct {
	Row      int
	Question string
	Matched  bool
	Why      string // of the one that matched
}

// ExplainedSession is a session, and whether it gets a copy.
type ExplainedSession struct {
	Resource   string
	Priority   int8
	Node       string
	State      string // of the node
	Grade      Grade  // of its link, or of its last one
	Since      time.Time
	QueueBytes uint64 // that wait for the node
	Copy       bool
	Why        string
}

// ExplainedEnd is a session that is no more.
type ExplainedEnd struct {
	JID, Node    string
	Since, Ended time.Time
	Why          string // storage.Why
}

// EndLink is the Action of a stanza that ends its sender's link.
const EndLink = "end-link"

// ExplainedVerdict is what Decide says.
type ExplainedVerdict struct {
	Action  string // an Action's word, or EndLink
	Row     int
	Reason  Reason // of a bounce, a drop, and EndLink; None: it goes on
	Copies  int
	Targets []ExplainedTarget
	Error   string // type/condition of a bounce; the condition of a stream error
	Text    string // a sentence that begins with Action and a colon
}

// ExplainedTarget is a node that gets a copy.
type ExplainedTarget struct {
	Node  string
	Waits bool // it is away: the copy waits for it
}

// ExplainedNote is something that comes before the verdict takes effect. With several targets each may have one.
type ExplainedNote struct {
	Action Action // what happens instead; Hold: it waits behind others
	Reason Reason // of a bounce, or of what is dropped
	Node   string // the target that it is about; "": all
	Text   string
}

// explaining is one Explanation in the making.
type explaining struct {
	r   *Router
	w   *work
	src *Source // stands for the link; nothing is counted for it
	it  *item
	now time.Time
	Explanation
}

// Explain tells what would become of a stanza, by the code that decides on those that are sent. It sends nothing, counts
// nothing and changes nothing. Where several links share a domain it speaks of the one that the addresses choose.
func (r *Router) Explain(q Query) Explanation {
	q = q.filled()
	x := &explaining{r: r, w: r.work.Get().(*work), now: r.now()}
	x.Kind, x.Type, x.From, x.To = q.Kind, q.Type, q.From, q.To
	x.it = &x.w.items[0]
	x.origin(q)
	x.explain(q)
	x.w.hashes, x.w.src = x.w.hashes[:0], nil
	r.work.Put(x.w)
	if x.Kind == "message" && x.Type == "" {
		x.Type = "normal"
	}
	return x.Explanation
}

// filled gives the query with what is taken for granted.
func (q Query) filled() Query {
	if q.Kind == "" {
		q.Kind = "message"
	}
	if q.Kind == "iq" && q.Type == "" {
		q.Type = "get"
	}
	if q.ID == "" {
		q.ID = "explain-" + rand.Text()
	}
	return q
}

// raw gives the stanza as a node would write it.
func (q *Query) raw() []byte {
	name := q.Kind
	if name != "message" && name != "presence" && name != "iq" {
		name = "other" // that it is no stanza is all that counts
	}
	b := append([]byte{'<'}, name...)
	for _, a := range []struct{ name, value string }{{"type", q.Type}, {"from", q.From}, {"to", q.To}, {"id", q.ID}} {
		if a.value != "" {
			b = append(append(append(b, ' '), a.name...), "='"...)
			b = append(stanza.AppendEscaped(b, []byte(a.value)), '\'')
		}
	}
	b = append(b, '>')
	switch {
	case q.Type == "error":
		b = append(b, "<error type='cancel'><service-unavailable xmlns='"+stanza.NSStanzas+"'/></error>"...)
	case q.Kind == "message":
		b = append(b, "<body>?</body>"...)
	case q.Kind == "iq" && q.Type != "result":
		b = append(b, "<query xmlns='urn:patchbay:explain'/>"...)
	}
	return append(append(append(b, "</"...), name...), '>')
}

// explain goes the way of Source.Feed.
func (x *explaining) explain(q Query) {
	_, _, err := x.src.sc.Next(q.raw(), &x.it.h)
	if err == nil && x.it.h.Kind == stanza.Other {
		err = x.src.notStanza(&x.it.h)
	}
	if err != nil {
		x.endLink(err)
		return
	}
	x.src.address(x.w, x.it)
	if x.it.answers() {
		x.answer()
		return
	}
	if x.authorised() {
		x.src.view(x.w, x.it)
		x.decided(Decide(&x.it.h, &x.w.view))
	}
}

// authorised tells by which right the node may use From, or that its link ends.
func (x *explaining) authorised() bool {
	if x.Origin.Node == "" {
		x.endLink(nil)
		return false
	}
	g, err := x.src.authorise(x.it)
	if err != nil {
		x.endLink(err)
		return false
	}
	x.Origin.Allowed, x.Origin.Why = true, x.groundWords(g)
	return true
}

// endLink is the verdict on what ends its sender's link. Without an error there is no link that could send it.
func (x *explaining) endLink(err error) {
	x.Verdict = ExplainedVerdict{Action: EndLink, Reason: BadFrom}
	if err == nil {
		x.Verdict.Error = "invalid-from"
		x.Verdict.Text = "end-link: the link that sends it ends with <invalid-from/>: " + strings.TrimSpace(x.From+" "+x.Origin.Why)
		return
	}
	bad := &stanza.StreamError{}
	errors.As(err, &bad) // it is always one
	if bad.Condition != "invalid-from" {
		x.Verdict.Reason = None // it is read no further: no stanza was taken
	}
	link := "the link of " + x.Origin.Node
	switch {
	case x.Origin.Node == "":
		link = "the link that sends it"
	case x.Origin.Why == "" && x.Verdict.Reason == BadFrom:
		x.Origin.Why = "may not be used by the link of " + x.Origin.Node
	case x.Origin.Why == "":
		x.Origin.Why = "is in a stanza that no link may send"
	}
	x.Verdict.Error = bad.Condition
	x.Verdict.Text = "end-link: " + link + " ends with <" + bad.Condition + "/>: " + bad.Text
}

// answer goes the way of Source.reply. What Query gives never breaks the rules for answers.
func (x *explaining) answer() {
	it, h := x.it, &x.it.h
	row := ExplainedRow{Question: "an answer to an iq", Matched: true}
	if it.place == PlaceServer || it.place == PlaceNone {
		x.Origin.Allowed, x.Origin.Why = true, x.groundWords(noFrom)
		row.Why = "without a from it answers the server itself"
		x.Rows, x.Verdict.Action = []ExplainedRow{row}, Serve.String()
		x.Verdict.Text = "serve: the server takes it as the answer to an iq of its own"
		return
	}
	var asked []byte
	if h.From.Set() {
		if !x.authorised() {
			return
		}
		asked = it.from.Bytes()
	} else {
		x.Origin.Allowed, x.Origin.Why = true, x.groundWords(noFrom)
	}
	origin, as := x.r.iqs.pending(x.src.node, asked, it.to.Bytes(), it.id())
	if origin == nil {
		row.Why = "RFC 6120 8.2.3: nobody asked under this id, or no longer"
		x.Rows = []ExplainedRow{row}
		x.Verdict = ExplainedVerdict{Action: Drop.String(), Reason: LateReply, Text: dropWords(LateReply)}
		return
	}
	if asked == nil {
		it.from, it.scratch, _ = stanza.ParseAddress([]byte(as), false, it.scratch)
	}
	row.Why = "RFC 6120 8.2.3: it goes to whoever asked"
	v, direct := x.src.answerTo(x.w, it, origin)
	if !direct {
		x.decided(v)
		return
	}
	x.w.view.Sessions = x.w.view.Sessions[:0]
	x.verdict(v)
	x.Rows = []ExplainedRow{row}
	x.queueNote(v.Targets[0].Node, false) // it waits behind nothing
}

// decided tells a verdict of Decide.
func (x *explaining) decided(v Verdict) {
	x.verdict(v)
	x.rows(v)
	x.notes(v)
}

func (x *explaining) verdict(v Verdict) {
	x.Verdict = ExplainedVerdict{Action: v.Action.String(), Row: int(v.Row)}
	switch v.Action {
	case Deliver:
		x.Verdict.Copies = len(v.Targets)
		for _, t := range v.Targets {
			x.Verdict.Targets = append(x.Verdict.Targets, ExplainedTarget{Node: t.Node.Domain, Waits: t.Outbox})
		}
	case Bounce:
		e := v.Reason.StanzaError()
		x.Verdict.Reason, x.Verdict.Error = v.Reason, e.Type+"/"+e.Condition
	case Drop:
		x.Verdict.Reason = v.Reason
	}
	x.sessions(v)
	x.Verdict.Text = v.Action.String() + ": " + x.sentence(v)
}
