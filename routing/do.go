package routing

import (
	"github.com/patchbay-im/patchbay/stanza"
)

// do carries a verdict out.
func (s *Source) do(w *work, it *item, v Verdict) {
	if v.Action == Deliver && s.join(w, it, v.Targets) {
		return
	}
	s.finishRun(w)
	switch v.Action {
	case Deliver:
		s.deliver(w, it, v)
	case Serve:
		s.serve(w, it)
	case Hold:
		s.hold(w, it)
	case Bounce:
		s.bounce(w, it, v.Reason)
	case Drop:
		w.end(v.Reason)
	}
}

// end0 counts an outcome without a reason.
func (w *work) end0(o Outcome) { w.ends[o]++ }

// serve hands a stanza to the service. What this batch has queued so far stays queued: the service's own
// answers join the same queues behind it.
func (s *Source) serve(w *work, it *item) {
	from := it.from
	if !it.h.From.Set() {
		from, _, _ = stanza.ParseAddress([]byte(s.node.Domain), false, nil)
	}
	switch why := s.r.service.Serve(s, &it.h, from, it.to); {
	case why == None:
		w.end0(Served)
	case why.Outcome() == Bounced:
		s.bounce(w, it, why)
	default:
		w.end(why)
	}
}

// deliver gives each target a copy.
func (s *Source) deliver(w *work, it *item, v Verdict) {
	if it.place == PlaceUsers && s.r.holds.len.Load() > 0 && !s.redo && s.r.holds.waiting(it.to.Bare()) {
		s.hold(w, it) // others wait for this user already: join their tail
		return
	}
	if len(v.Targets) == 1 {
		s.send(w, it, v.Targets[0].Node)
		return
	}
	gone := 0
	for _, t := range v.Targets {
		if s.share(w, it, t.Node) == putGone {
			gone++
		}
	}
	if gone == len(v.Targets) {
		s.unput(w, it, putGone) // nobody has it
		return
	}
	w.copies += uint64(len(v.Targets) - 1)
	for range gone {
		w.end(OtherCopy)
	}
}

// share queues one of several copies.
func (s *Source) share(w *work, it *item, n *Node) putResult {
	res, flush := n.queue.put(&it.h, s.edit(w, it), rec{origin: s.node.ID(), class: classShared, at: uint32(s.r.now().Unix())})
	if flush {
		w.queues = append(w.queues, n.queue)
	}
	if res == putFull {
		s.bounce(w, it, QueueFull)
	}
	return res
}

// send queues the only copy for a node.
func (s *Source) send(w *work, it *item, n *Node) {
	r := rec{origin: s.node.ID()}
	if request(&it.h) {
		r.class = classRequest
		if !s.request(it, n) {
			s.bounce(w, it, IQFull)
			return
		}
	}
	res, flush := n.queue.put(&it.h, s.edit(w, it), r)
	if flush {
		w.queues = append(w.queues, n.queue)
	}
	if res != putOK && r.class == classRequest && s.r.iqs.answer(n, it.to.Bytes(), it.asker(s), it.id()) == nil {
		w.end(NodeDropped) // the link dropped this moment, and the asker has been answered
		return
	}
	s.unput(w, it, res)
}

// join adds a stanza to the run of those that go to one and the same node, so that a run costs one lock; false
// if it has to go alone.
func (s *Source) join(w *work, it *item, targets []Target) bool {
	if len(targets) != 1 || s.redo || request(&it.h) || s.r.holds.len.Load() > 0 {
		return false
	}
	q := targets[0].Node.queue
	if q != w.runTo {
		s.finishRun(w)
		w.runTo = q
	}
	w.run = append(w.run, it)
	return true
}

// finishRun queues the run.
func (s *Source) finishRun(w *work) {
	if w.runTo == nil {
		return
	}
	q := w.runTo
	if q.putRun(s, w, w.run) {
		w.queues = append(w.queues, q)
	}
	run := w.run
	w.runTo, w.run = nil, w.run[:0]
	for _, it := range run {
		s.unput(w, it, it.put)
	}
}

// unput does what is left to do when a queue did not take a stanza.
func (s *Source) unput(w *work, it *item, res putResult) {
	switch {
	case res == putFull:
		s.bounce(w, it, QueueFull)
	case res == putLater:
		s.bounce(w, it, NodeAway)
	case res == putGone && it.again:
		s.bounce(w, it, NodeUnknown)
	case res == putGone: // its grace ended this moment: the table has changed, decide anew, once
		it.again = true
		kept := w.view // another stanza's verdict may lie in it
		w.view = View{}
		s.view(w, it)
		if v := Decide(&it.h, &w.view); v.Action == Deliver {
			s.deliver(w, it, v)
		} else {
			s.do(w, it, v)
		}
		w.view = kept
	}
}

// edit gives what must change in the bytes of a stanza on its way, or nil if nothing does (engineering: most
// stanzas go on as they came).
func (s *Source) edit(w *work, it *item) *stanza.Edit {
	sh := s.sc.StreamHeader()
	lang := sh.Lang != "" && !it.h.Lang.Set()
	if !it.h.NeedsEdit() && !lang && it.h.From.Set() {
		return nil
	}
	w.edit = stanza.Edit{Prefixes: sh.Prefixes}
	if lang {
		w.edit.Lang = sh.Lang
	}
	if !it.h.From.Set() {
		w.edit.From = []byte(s.node.Domain)
		if it.from.Bytes() != nil {
			w.edit.From = it.from.Bytes()
		}
	}
	return &w.edit
}

// bounce answers the node that sent the stanza (RFC 6120 8.3). A from that is missing was the node itself.
func (s *Source) bounce(w *work, it *item, why Reason) {
	if !it.h.Answerable() {
		w.end(silent(&it.h))
		return
	}
	var to, from []byte
	if !it.h.From.Set() {
		to = []byte(s.node.Domain)
	}
	if it.place == PlaceNone || it.place == PlaceMalformed {
		from = []byte(s.r.cfg.Server) // RFC 6120 8.3.1: not from an address that is none
	}
	e := why.StanzaError()
	e.Text = expand(e.Text, it.to)
	e.By = s.r.cfg.Server
	w.buf = it.h.AppendError(w.buf[:0], &e, to, from)
	w.end(why)
	s.made(w, s.node)
}

// made queues the stanza in w.buf, made by the server, for a node.
func (s *Source) made(w *work, n *Node) {
	h := stanza.Header{Raw: w.buf}
	res, flush := n.queue.put(&h, nil, rec{})
	if res == putOK {
		s.r.tally.made.Add(1)
	}
	if flush {
		w.queues = append(w.queues, n.queue)
	}
}

// expand puts the address into an error's text.
func expand(text string, to stanza.Address) string {
	const mark = "%to"
	for i := 0; i+len(mark) <= len(text); i++ {
		if text[i:i+len(mark)] == mark {
			return text[:i] + to.String() + text[i+len(mark):]
		}
	}
	return text
}

// asker and id name a request in the table of pending iqs.
func (it *item) asker(s *Source) []byte {
	if !it.h.From.Set() {
		return []byte(s.node.Domain)
	}
	return it.from.Bytes()
}

func (it *item) id() []byte {
	id := it.h.In(it.h.ID.Value)
	if it.h.ID.Escaped {
		return stanza.AppendUnescaped(nil, id)
	}
	return id
}
