package routing

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing/synctest"

	"github.com/patchbay-im/patchbay/stanza"
)

// explainState is all that an Explain could have changed by mistake.
type explainState struct {
	ledger Ledger
	stats  Stats
	loads  int
	queues map[*Node]QueueStats
	table  uint64
	served int
	lists  int
	store  any
	read   []uint64
}

func (m *explainModel) state() explainState {
	synctest.Wait()
	s := explainState{ledger: m.r.Ledger(), stats: m.r.Stats(), queues: map[*Node]QueueStats{}, table: m.sessions.Version(), served: m.served,
		store: m.offline.Stats()}
	for _, n := range m.r.Nodes() {
		s.queues[n] = n.queue.stats()
	}
	m.r.iqs.mu.Lock()
	s.loads = len(m.r.iqs.loads)
	m.r.iqs.mu.Unlock()
	m.r.holds.mu.Lock()
	s.lists = len(m.r.holds.byUser)
	m.r.holds.mu.Unlock()
	for _, f := range m.r.Facts() {
		s.read = append(s.read, f.In)
	}
	return s
}

// explainEnds is what became of one stanza.
type explainEnds struct {
	Copies map[string]int // by node: written to it, or waiting for it
	Held   int
	Stored int
	Served int
	Error  string // type/condition that its sender got, or the stream error
	Lost   map[string]uint64
}

// send lets a link send the stanza, and holds what becomes of it against the explanation.
func (m *explainModel) send(q Query, e Explanation, src *Source) {
	for s := range m.wires {
		m.taken(s)
	}
	q = q.filled()
	was := explainEnds{Copies: map[string]int{}}
	m.find(q, &was) // an answer has the id of a question, or of another answer
	before, from := m.r.Ledger(), m.r.NodeReasons(src.node.Domain)
	served := m.served
	_, err := src.Feed(q.raw())
	synctest.Wait()
	got := explainEnds{Copies: map[string]int{}, Lost: map[string]uint64{}, Served: m.served - served}
	after := m.r.Ledger()
	for why, n := range after.Reasons {
		if d := n - before.Reasons[why]; d > 0 {
			got.Lost[why] = d
		}
	}
	for why, n := range m.r.NodeReasons(src.node.Domain) {
		if why != OtherCopy && why != Superseded && n-from[why] != got.Lost[why.String()] {
			m.t.Fatalf("%+v: the node's %s grew by %d, the ledger's by %d", q, why, n-from[why], got.Lost[why.String()])
		}
	}
	var bad *stanza.StreamError
	if errors.As(err, &bad) {
		got.Error = bad.Condition
	}
	m.find(q, &got)
	delete(got.Lost, OtherCopy.String())  // of what was stored and went first
	delete(got.Lost, Superseded.String()) // of what waited
	got.Held, got.Stored = got.Held-was.Held, got.Stored-was.Stored
	for n := range got.Copies {
		got.Copies[n] -= was.Copies[n]
	}
	maps.DeleteFunc(got.Copies, func(_ string, n int) bool { return n == 0 })
	want := m.expected(q, e)
	m.tapped(q, e, got, bad != nil && e.Verdict.Reason == None)
	if after.Untold > before.Untold && got.Error == "" {
		want.Error = "" // the sender's own queue is full
	}
	if e.Verdict.Action == EndLink && src.sc != nil {
		src.sc = storedScanner(stanza.DefaultLimits) // the next link
	}
	if !reflect.DeepEqual(got, want) && !m.followed(e, got) {
		m.t.Fatalf("%+v from %s\nexplained %+v\nwant %+v\ngot  %+v", q, src.node.Domain, e, want, got)
	}
	if request := q.Kind == "iq" && (q.Type == "get" || q.Type == "set"); request && len(e.Verdict.Targets) == 1 && len(e.Notes) == 0 {
		m.asks = append(m.asks, explainedAsk{at: e.Verdict.Targets[0].Node, asked: canonicalJID(q.To), asker: canonicalJID(orElse(q.From, src.node.Domain)), id: q.ID})
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func canonicalJID(s string) string {
	a, _, err := stanza.ParseAddress([]byte(s), false, nil)
	if err != nil {
		return s
	}
	return a.String()
}

// tapped holds what a tap shows of the stanza against what became of it.
func (m *explainModel) tapped(q Query, e Explanation, got explainEnds, unread bool) {
	if m.tap == nil {
		return
	}
	if unread { // it was no stanza
		if len(m.tap.C()) > 0 {
			m.t.Fatalf("%+v passed: %+v", q, <-m.tap.C())
		}
		return
	}
	p := <-m.tap.C()
	action, reason, targets := e.Verdict.Action, None, 0
	switch {
	case len(e.Notes) > 0 && len(e.Notes) == max(1, e.Verdict.Copies):
		action, reason = e.Notes[0].Action.String(), e.Notes[0].Reason
	case action == "deliver":
		targets = e.Verdict.Copies
	case action == "bounce" || action == "drop" || action == EndLink:
		reason = e.Verdict.Reason
	}
	if len(e.Notes) > 0 && targets > 0 {
		reason = QueueFull // some got it
	}
	if len(e.Notes) == 1 && e.Notes[0].Node == "" {
		action, reason, targets = e.Notes[0].Action.String(), e.Notes[0].Reason, 0
	}
	if p.Action != action || p.Reason != reason || len(p.Targets) != targets || p.ID != q.ID || p.Kind != q.Kind {
		m.t.Fatalf("%+v: the tap shows %+v, want %s %s and %d targets; explained %+v, ends %+v", q, p, action, reason, targets, e, got)
	}
}

// followed reports whether a stanza that was to join others has gone its way with them, behind what was stored: to each
// target, or not where the queue was full by then.
func (m *explainModel) followed(e Explanation, got explainEnds) bool {
	if len(e.Notes) != 1 || e.Notes[0].Action != Hold || e.Verdict.Action != "deliver" || got.Held+got.Stored+got.Served > 0 {
		return false
	}
	ends := 0
	for _, t := range e.Verdict.Targets {
		ends += got.Copies[t.Node]
		delete(got.Copies, t.Node)
	}
	for _, why := range []Reason{QueueFull, IQFull, ErrorToNobody, ResultToNobody} {
		ends += int(got.Lost[why.String()])
		delete(got.Lost, why.String())
	}
	return ends == len(e.Verdict.Targets) && len(got.Copies)+len(got.Lost) == 0
}

// taken gives what a link has been written since the last time.
func (m *explainModel) taken(s *Source) []byte {
	w := m.wires[s]
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = nil
	return got
}

// find looks for the stanza everywhere.
func (m *explainModel) find(q Query, got *explainEnds) {
	see := func(node string, raw []byte) {
		if idOf(raw) != q.ID {
			return
		}
		if !bytes.Contains(raw, []byte(" by='hub'")) {
			got.Copies[node]++
			return
		}
		w := stanza.WalkBytes(raw)
		for w.Next() {
			if string(w.Local()) == "error" {
				typ, _, _ := w.Attr("type")
				w.Next()
				got.Error = string(typ) + "/" + string(w.Local())
				return
			}
		}
	}
	for s := range m.wires {
		sc, h, rest := storedScanner(stanza.DefaultLimits), &stanza.Header{}, m.taken(s)
		for len(rest) > 0 {
			tok, n, err := sc.Next(rest, h)
			if m.must(err); tok != stanza.Element {
				m.t.Fatalf("%s was written a part: %s", s.node.Domain, rest)
			}
			see(s.node.Domain, h.Raw)
			rest = rest[n:]
		}
	}
	for _, n := range m.r.Nodes() {
		n.queue.mu.Lock()
		for _, b := range n.queue.blocks {
			b.each(func(raw []byte, r rec) {
				if r.class != classMoved && r.class != classStored {
					see(n.Domain, raw)
				}
			})
		}
		n.queue.mu.Unlock()
	}
	m.findKept(q, got)
}

func (m *explainModel) findKept(q Query, got *explainEnds) {
	m.r.holds.mu.Lock()
	for _, list := range m.r.holds.byUser {
		for _, h := range list.items {
			if idOf(h.raw) == q.ID {
				got.Held++
			}
		}
	}
	m.r.holds.mu.Unlock()
	if to, _, err := stanza.ParseAddress([]byte(q.To), false, nil); err == nil && m.offline.Has(to.Bare()) {
		list, err := m.offline.Read(to.Bare(), 0, 100)
		m.must(err)
		for _, s := range list {
			if idOf(s.Raw) == q.ID {
				got.Stored++
			}
		}
	}
}

// expected is what the explanation says.
func (m *explainModel) expected(q Query, e Explanation) explainEnds {
	want := explainEnds{Copies: map[string]int{}, Lost: map[string]uint64{}}
	v := e.Verdict
	lose := func(a Action, why Reason) {
		want.Lost[why.String()]++
		if a == Bounce {
			err := why.StanzaError()
			want.Error = err.Type + "/" + err.Condition
		}
	}
	if len(e.Notes) > 0 && e.Notes[0].Node == "" { // it is about the whole stanza
		if e.Notes[0].Action == Hold {
			want.Held = 1
		} else {
			lose(e.Notes[0].Action, e.Notes[0].Reason)
		}
		return want
	}
	switch v.Action {
	case "deliver":
		for _, t := range v.Targets {
			i := slices.IndexFunc(e.Notes, func(n ExplainedNote) bool { return n.Node == t.Node })
			if i < 0 {
				want.Copies[t.Node]++
			} else {
				lose(e.Notes[i].Action, e.Notes[i].Reason)
			}
		}
	case "serve":
		want.Served = 1
		if q.Kind == "iq" && (q.Type == "result" || q.Type == "error") && q.From == "" {
			want.Served = 0 // it ends in the router
		}
	case "store":
		want.Stored = 1
	case "hold":
		want.Held = 1
	case "bounce":
		lose(Bounce, v.Reason)
	case "drop":
		lose(Drop, v.Reason)
	case EndLink:
		want.Error = v.Error
		if v.Reason != None {
			lose(Drop, v.Reason)
		}
	default:
		m.t.Fatalf("%+v: no action", e)
	}
	return want
}

// shape holds an explanation to its own rules.
func (m *explainModel) shape(q Query, e Explanation) {
	v := e.Verdict
	bad := func(what string) { m.t.Fatalf("%+v: %s: %+v", q, what, e) }
	if !strings.HasPrefix(v.Text, v.Action+": ") || len(v.Text) < len(v.Action)+10 || strings.Contains(v.Text, "%") {
		bad("a poor sentence")
	}
	if e.Origin.Why == "" || (v.Action == EndLink) == e.Origin.Allowed {
		bad("the right to speak")
	}
	if e.Origin.Allowed != (len(e.Rows) > 0) {
		bad("no rows")
	}
	for i, r := range e.Rows {
		last := i == len(e.Rows)-1
		if r.Matched != last || (r.Why != "") != last || r.Question == "" || last && r.Row != v.Row {
			bad("rows")
		}
	}
	gets := map[string]bool{}
	for _, s := range e.Sessions {
		if s.Copy {
			gets[s.Node] = true
		}
	}
	if v.Action == "deliver" && v.Row == 4 {
		for _, t := range v.Targets {
			if !gets[t.Node] {
				bad("a target without a session")
			}
			delete(gets, t.Node)
		}
	}
	if len(gets) > 0 {
		bad("copies that nobody gets")
	}
}

// note counts what was met.
func (m *explainModel) note(q Query, e Explanation) {
	if len(e.Rows) > 0 {
		m.met[fmt.Sprint("row ", e.Verdict.Row)]++
	}
	m.met[e.Verdict.Action]++
	m.met[e.Verdict.Reason.String()]++
	for _, n := range e.Notes {
		m.met[n.Reason.String()]++
		if n.Action == Hold {
			m.met["joins"]++
		}
	}
	if e.Verdict.Copies > 1 {
		m.met["copies"]++
	}
	for _, t := range e.Verdict.Targets {
		if t.Waits {
			m.met["waits"]++
		}
	}
	if answer := q.Kind == "iq" && (q.Type == "result" || q.Type == "error"); answer && e.Verdict.Action == "deliver" {
		m.met["an answer"]++
		if e.Verdict.Row == 0 {
			m.met["an answer to a node"]++
		}
	}
}
