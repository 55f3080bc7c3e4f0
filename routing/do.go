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
	s.settle(w, it, s.act(w, it, v))
}

// act does what a verdict asks for. None: the stanza is in custody somewhere else, or served, and counted. Any
// other reason is what the caller has to end it with.
func (s *Source) act(w *work, it *item, v Verdict) Reason {
	switch v.Action {
	case Deliver:
		return s.deliver(w, it, v)
	case Serve:
		return s.serve(w, it)
	case FanOut:
		return s.fanOut(w, it)
	case Store:
		return s.store(w, it)
	case Hold:
		return s.hold(w, it)
	}
	return v.Reason
}

// settle ends a stanza for a reason: it is answered, or counted only.
func (s *Source) settle(w *work, it *item, why Reason) {
	switch {
	case why == None:
	case why.Outcome() == Bounced:
		s.bounce(w, it, why)
	default:
		w.end(why)
	}
}

// end0 counts an outcome without a reason.
func (w *work) end0(o Outcome) { w.ends[o]++ }

// serve hands a stanza to the service. What this batch has queued so far stays queued: the service's own
// answers join the same queues behind it.
func (s *Source) serve(w *work, it *item) Reason {
	from := it.from
	if !it.h.From.Set() {
		from, _, _ = stanza.ParseAddress([]byte(s.node.Domain), false, nil)
	}
	why := s.r.service.Serve(s, &it.h, from, it.to)
	if why == None {
		w.end0(Served)
	}
	return why
}

// deliver gives each target a copy. Of several copies those that find a full queue are one reason together.
func (s *Source) deliver(w *work, it *item, v Verdict) Reason {
	if s.mustWait(it) || s.behind(it, v.Targets) {
		return s.hold(w, it) // others wait for this user already: join their tail
	}
	if len(v.Targets) == 1 {
		n := v.Targets[0].Node
		if n.ending.Load() && !s.redo {
			if why := s.without(w, it, n); why != None {
				return why
			}
		}
		why := s.send(w, it, n)
		if why == None && v.Row == 4 && n.State() == Away && !s.redo { // not what goes to a node instead of the user
			s.r.follow(it.to, n)
		}
		return why
	}
	full, gone, why := 0, 0, None
	for _, t := range v.Targets {
		switch res := s.share(w, it, t.Node); res {
		case putOK:
		case putGone:
			gone++
		default:
			full, why = full+1, t.Node.queue.why(res)
		}
	}
	if gone == len(v.Targets) {
		return s.unput(w, it, v.Targets[0].Node.queue, putGone) // nobody has it
	}
	w.copies += uint64(len(v.Targets) - 1)
	for range gone {
		w.end(OtherCopy)
	}
	if full == 0 {
		return None
	}
	for range full - 1 {
		w.end(why)
	}
	return why
}

// without decides a stanza for a node whose grace is being ended as if it had been, and gives the reason if it would not go on:
// much may wait there before it, and there is no order among errors. None: it joins the tail.
func (s *Source) without(w *work, it *item, n *Node) Reason {
	kept := w.view
	w.view = View{}
	s.not = n
	s.view(w, it)
	s.not = nil
	v := Decide(&it.h, &w.view)
	w.view = kept
	if v.Action == Bounce || v.Action == Drop {
		return v.Reason
	}
	return None
}

// mustWait reports whether older stanzas wait for the user that a stanza is for.
func (s *Source) mustWait(it *item) bool {
	if it.place != PlaceUsers || s.redo || !s.r.heldUp() {
		return false
	}
	return s.r.holds.waiting(it.to.Bare()) || s.r.overflow.mayHave(it.to.Bare())
}

// heldUp reports whether anything is held for anybody.
func (r *Router) heldUp() bool { return r.holds.lists.Load() > 0 || r.overflow.len.Load() > 0 }

// share queues one of several copies.
func (s *Source) share(w *work, it *item, n *Node) putResult {
	res, flush, at := n.queue.putAt(&it.h, s.edit(w, it), rec{origin: s.node.ID(), class: classShared, at: w.version})
	s.went(at)
	if flush {
		w.queues = append(w.queues, n.queue)
	}
	return res
}

// send queues the only copy for a node.
func (s *Source) send(w *work, it *item, n *Node) Reason {
	r := rec{origin: s.node.ID()}
	if request(&it.h) {
		r.class = classRequest
		if s.forged(it) {
			return ForgedNotice
		}
		if !s.request(it, n) {
			return IQFull
		}
	}
	res, flush, at := n.queue.putAt(&it.h, s.edit(w, it), r)
	s.went(at)
	if flush {
		w.queues = append(w.queues, n.queue)
	}
	if res != putOK && r.class == classRequest && s.r.iqs.answer(n, it.to.Bytes(), it.asker(s), it.id()) == nil {
		w.end(NodeDropped) // the link dropped this moment, and the asker has been answered
		return None
	}
	return s.unput(w, it, n.queue, res)
}

// join adds a stanza to the run of those that go to one and the same node, so that a run costs one lock; false
// if it has to go alone.
func (s *Source) join(w *work, it *item, targets []Target) bool {
	switch {
	case len(targets) != 1 || s.redo || request(&it.h), targets[0].Outbox, s.r.mail.store != nil && targets[0].unsettled(),
		it.place == PlaceUsers && s.r.heldUp():
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
		s.settle(w, it, s.unput(w, it, q, it.put))
	}
}

// unput gives what is left to do when a queue did not take a stanza.
func (s *Source) unput(w *work, it *item, q *Queue, res putResult) Reason {
	switch {
	case res == putOK:
		return None
	case res != putGone:
		return q.why(res)
	case it.again:
		return NodeUnknown
	}
	it.again = true // its grace ends this moment: when the table has changed, decide anew, once
	w.write()       // others may wait for what is queued while we wait
	q.wait()
	kept := w.view // another stanza's verdict may lie in it
	w.view = View{}
	s.view(w, it)
	why := s.act(w, it, Decide(&it.h, &w.view))
	w.view = kept
	return why
}

// why names the reason for which a queue has not taken a stanza.
func (q *Queue) why(res putResult) Reason {
	switch res {
	case putLater:
		return NodeAway
	case putKept:
		return OutboxFull
	case putDisk:
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.disk.full != None {
			return q.disk.full
		}
		return OutboxDisk
	}
	return QueueFull
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
	w.end(why)
	s.answer(w, it, why.StanzaError())
}

// answer sends an error to the node that sent the stanza.
func (s *Source) answer(w *work, it *item, e stanza.Error) {
	var to, from []byte
	if !it.h.From.Set() {
		to = []byte(s.node.Domain)
	}
	if it.place == PlaceNone || it.place == PlaceMalformed {
		from = []byte(s.r.cfg.Server) // RFC 6120 8.3.1: not from an address that is none
	}
	e.Text = expand(e.Text, it.to)
	e.By = s.r.cfg.Server
	w.buf = it.h.AppendError(w.buf[:0], &e, to, from)
	s.made(w, s.node)
}

// made queues the stanza in w.buf, made by the server, for a node.
func (s *Source) made(w *work, n *Node) {
	n = n.reach()
	h := stanza.Header{Raw: w.buf}
	res, flush, at := n.queue.putAt(&h, nil, rec{})
	if res == putBehind && s.halt != nil { // a link's, not what was decided again
		if flush {
			w.queues = append(w.queues, n.queue)
		}
		w.write() // others may wait for what is queued while we wait
		res, flush = s.pace(n.queue, &h)
		at = n.queue.lastSpot()
	}
	if res == putOK {
		s.r.tally.made.Add(1)
		s.went(at) // what is answered is in custody as its answer is
	} else {
		s.r.tally.untold.Add(1)
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
